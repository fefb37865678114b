package netconn

import (
	"encoding/binary"
	"time"
)

// Event is the type of a user control message.
type Event uint16

// The events of RFC 7425 section 5 and of streams.
const (
	EventStreamBegin  Event = 0
	EventStreamEOF    Event = 1
	EventFlowSync     Event = 34
	EventSetKeepalive Event = 41
)

// ParseEvent splits a user control message; data aliases it. The only error is
// ErrTruncated.
func ParseEvent(m Message) (e Event, data []byte, err error) {
	if len(m.Payload) < 2 {
		return 0, nil, ErrTruncated
	}
	return Event(binary.BigEndian.Uint16(m.Payload)), m.Payload[2:], nil
}

func appendEvent(b []byte, e Event, data ...uint32) []byte {
	b = Message{Type: TypeUserControl}.Append(b)
	b = binary.BigEndian.AppendUint16(b, uint16(e))
	for _, v := range data {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// AppendStreamBegin appends a message that says that a stream begins.
func AppendStreamBegin(b []byte, streamID uint32) []byte {
	return appendEvent(b, EventStreamBegin, streamID)
}

// AppendSetKeepalive appends a Set Keepalive Timers message (RFC 7425 5.3.4):
// the periods advised towards the server and towards other peers, sent in
// milliseconds.
func AppendSetKeepalive(b []byte, server, peer time.Duration) []byte {
	return appendEvent(b, EventSetKeepalive, milliseconds(server), milliseconds(peer))
}

func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), 1<<32-1))
}

// parseSetKeepalive reads the data of a Set Keepalive event.
func parseSetKeepalive(data []byte) (server, peer time.Duration, err error) {
	if len(data) < 8 {
		return 0, 0, ErrTruncated
	}
	server = time.Duration(binary.BigEndian.Uint32(data)) * time.Millisecond
	peer = time.Duration(binary.BigEndian.Uint32(data[4:])) * time.Millisecond
	return server, peer, nil
}

// AppendFlowSync appends a Flow Synchronization message (RFC 7425 5.2): one of
// count, each on another flow.
func AppendFlowSync(b []byte, syncID, count uint32) []byte {
	return appendEvent(b, EventFlowSync, syncID, count)
}

// parseFlowSync reads the data of a Flow Synchronization event.
func parseFlowSync(data []byte) (syncID, count uint32, err error) {
	if len(data) < 8 {
		return 0, 0, ErrTruncated
	}
	return binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]), nil
}
