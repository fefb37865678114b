package netconn

import (
	"encoding/binary"
	"errors"

	"pileus/rtmfp/amf"
)

// MessageType is an RTMP message type.
type MessageType uint8

// The message types used over RTMFP. Types 1, 2, 3, 5 and 6 belong to RTMP chunk
// streams "and MUST be ignored" (RFC 7425 5.1).
const (
	TypeUserControl     MessageType = 0x04
	TypeAudio           MessageType = 0x08
	TypeVideo           MessageType = 0x09
	TypeDataExtended    MessageType = 0x0f
	TypeCommandExtended MessageType = 0x11
	TypeData            MessageType = 0x12
	TypeCommand         MessageType = 0x14
)

// headerLen is the size of type and timestamp.
const headerLen = 5

// Reasons to refuse a message.
var (
	ErrTruncated = errors.New("netconn: truncated message")
	ErrFormat    = errors.New("netconn: extended message of an unknown format")
	ErrNoCommand = errors.New("netconn: not a command")
)

// Message is an RTMP message as it is mapped onto a flow (RFC 7425 5.1.2).
type Message struct {
	Type      MessageType
	Timestamp uint32 // milliseconds, wrapping around
	Payload   []byte
}

// ParseMessage splits a message; Payload aliases b. The only error is
// ErrTruncated.
func ParseMessage(b []byte) (Message, error) {
	if len(b) < headerLen {
		return Message{}, ErrTruncated
	}
	return Message{
		Type:      MessageType(b[0]),
		Timestamp: binary.BigEndian.Uint32(b[1:]),
		Payload:   b[headerLen:],
	}, nil
}

// Append appends the message.
func (m Message) Append(b []byte) []byte {
	b = append(b, byte(m.Type))
	b = binary.BigEndian.AppendUint32(b, m.Timestamp)
	return append(b, m.Payload...)
}

// values reads the AMF values of a command or data message of either kind.
func (m Message) values() (amf.Args, error) {
	b := m.Payload
	switch m.Type {
	case TypeCommandExtended:
		// "the format selector byte MUST be 0"
		if len(b) == 0 || b[0] != 0 {
			return nil, ErrFormat
		}
		b = b[1:]
	case TypeDataExtended:
		// Some senders leave the selector out. A data message begins with a
		// string, whose marker is not 0.
		if len(b) > 0 && b[0] == 0 {
			b = b[1:]
		}
	default:
	}
	return amf.ParseAll(b)
}

// Data reads the values of a data message: usually the name of a handler and
// its arguments.
func (m Message) Data() (amf.Args, error) { return m.values() }

// AppendData appends a data message of the given values.
func AppendData(b []byte, timestamp uint32, values ...amf.Value) []byte {
	return amf.Append(Message{Type: TypeData, Timestamp: timestamp}.Append(b), values...)
}
