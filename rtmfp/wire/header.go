package wire

import "encoding/binary"

// Mode says which end of a session sent a packet, or that it belongs to startup
// (section 2.2.4).
type Mode uint8

const (
	ModeForbidden Mode = 0
	ModeInitiator Mode = 1
	ModeResponder Mode = 2
	ModeStartup   Mode = 3
)

// TimestampTick is the unit of Header's timestamps, in nanoseconds: 4 ms.
const TimestampTick = 4_000_000

// MaxHeaderLen is the length of the longest packet header, in bytes.
const MaxHeaderLen = 1 + 2 + 2

const (
	headerTimeCritical        = 0x80
	headerTimeCriticalReverse = 0x40
	headerTimestamp           = 0x08
	headerEcho                = 0x04
	headerMode                = 0x03
)

// Header is what stands before a packet's chunks (section 2.2.4). Timestamp and
// Echo count ticks of 4 ms, modulo 65,536.
type Header struct {
	TimeCritical        bool // the packet holds real-time data
	TimeCriticalReverse bool // the sender receives real-time data on other sessions
	Mode                Mode
	HasTimestamp        bool
	HasEcho             bool
	Timestamp           uint16
	Echo                uint16
}

// Append appends the header: 1, 3 or 5 bytes. Mode must not be ModeForbidden.
func (h Header) Append(b []byte) []byte {
	flags := byte(h.Mode) & headerMode
	if h.TimeCritical {
		flags |= headerTimeCritical
	}
	if h.TimeCriticalReverse {
		flags |= headerTimeCriticalReverse
	}
	if h.HasTimestamp {
		flags |= headerTimestamp
	}
	if h.HasEcho {
		flags |= headerEcho
	}
	b = append(b, flags)
	if h.HasTimestamp {
		b = binary.BigEndian.AppendUint16(b, h.Timestamp)
	}
	if h.HasEcho {
		b = binary.BigEndian.AppendUint16(b, h.Echo)
	}
	return b
}

// ParseHeader reads the header of a plain packet; rest is for NextChunk. The
// errors are ErrTruncated and ErrMode.
func ParseHeader(b []byte) (h Header, rest []byte, err error) {
	if len(b) == 0 {
		return Header{}, nil, ErrTruncated
	}
	flags, rest := b[0], b[1:]
	h = Header{
		TimeCritical:        flags&headerTimeCritical != 0,
		TimeCriticalReverse: flags&headerTimeCriticalReverse != 0,
		Mode:                Mode(flags & headerMode),
		HasTimestamp:        flags&headerTimestamp != 0,
		HasEcho:             flags&headerEcho != 0,
	}
	if h.Mode == ModeForbidden {
		return Header{}, nil, ErrMode
	}
	if h.HasTimestamp {
		if len(rest) < 2 {
			return Header{}, nil, ErrTruncated
		}
		h.Timestamp, rest = binary.BigEndian.Uint16(rest), rest[2:]
	}
	if h.HasEcho {
		if len(rest) < 2 {
			return Header{}, nil, ErrTruncated
		}
		h.Echo, rest = binary.BigEndian.Uint16(rest), rest[2:]
	}
	return h, rest, nil
}
