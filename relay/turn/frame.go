package turn

import (
	"encoding/binary"
	"errors"

	"github.com/pion/stun/v2"
)

const (
	stunHeader    = 20 // bytes, RFC 8489 section 5
	channelHeader = 4  // bytes, RFC 8656 section 12.4
	magicCookie   = 0x2112A442
)

var errFrame = errors.New("turn: neither STUN nor ChannelData")

// frameLen tells how long the frame is that b begins with, on a TCP or TLS connection; 0 means that b is
// too short to tell. It may be longer than what is relayed.
//
// RFC 8656 section 12.5: "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple
// of four bytes in order to ensure the alignment of subsequent messages. The padding is not reflected in
// the length field".
func frameLen(b []byte) (int, error) {
	if len(b) < channelHeader {
		return 0, nil
	}
	// In int: lengths near 65,535 must not come out small.
	length, n := int(binary.BigEndian.Uint16(b[2:4])), 0
	switch b[0] >> 4 {
	case 0, 1, 2, 3: // RFC 8489 section 5: the first two bits are zero
		if length%4 != 0 || len(b) >= 8 && binary.BigEndian.Uint32(b[4:8]) != magicCookie {
			return 0, errFrame
		}
		n = stunHeader + length
	case 4, 5, 6, 7: // see isChannel
		n = channelHeader + (length+3)/4*4
	default:
		return 0, errFrame
	}
	return n, nil
}

// isChannel reports whether a channel number, or the message that begins with it, has the right first
// byte. RFC 8656 section 12 leaves 0x4000 to 0x4FFF for channels so that other protocols may share the
// port; none does here, and clients of RFC 5766, coturn's among them, use all up to 0x7FFF.
func isChannel(first byte) bool { return first>>6 == 1 }

// isChannelData reports whether b, a datagram or a frame, is a whole ChannelData message.
func isChannelData(b []byte) bool {
	return len(b) >= channelHeader && isChannel(b[0]) &&
		int(binary.BigEndian.Uint16(b[2:4])) <= len(b)-channelHeader
}

// isSTUN reports whether b, a datagram or a frame, is a STUN message of exactly its length.
func isSTUN(b []byte) bool {
	return len(b) >= stunHeader && b[0]>>6 == 0 &&
		binary.BigEndian.Uint32(b[4:8]) == magicCookie &&
		len(b)%4 == 0 && int(binary.BigEndian.Uint16(b[2:4])) == len(b)-stunHeader
}

// isClassicBinding reports whether b, a datagram, is a Binding request of RFC 3489, which knows no magic
// cookie. All else of that RFC is none of TURN.
func isClassicBinding(b []byte) bool {
	return len(b) >= stunHeader && len(b)%4 == 0 && binary.BigEndian.Uint16(b) == stun.BindingRequest.Value() &&
		binary.BigEndian.Uint32(b[4:8]) != magicCookie && int(binary.BigEndian.Uint16(b[2:4])) == len(b)-stunHeader
}
