// Package binding speaks STUN Binding (RFC 8489) and its NAT behaviour discovery
// usage (RFC 5780), both ends: values and bytes, no sockets and no clock.
package binding

import (
	"encoding/binary"

	"github.com/pion/stun/v2"
)

const (
	headerLen = 20
	// MinSize is the least Request.Size that is kept exactly.
	MinSize = headerLen + attributeHeaderLen

	attributeHeaderLen = 4
	magicCookie        = 0x2112A442

	changeIP   = 0x04 // RFC 5780 section 7.2: bits of the last byte
	changePort = 0x02
)

// IsMessage reports whether b, a whole datagram, is a STUN message. Its first
// byte alone tells nothing beside RTMFP, whose first bytes are ciphertext: the
// magic cookie and the exact length do.
func IsMessage(b []byte) bool {
	return len(b) >= headerLen && b[0]&0xc0 == 0 &&
		binary.BigEndian.Uint32(b[4:8]) == magicCookie &&
		len(b)%4 == 0 && int(binary.BigEndian.Uint16(b[2:4])) == len(b)-headerLen
}

// Transaction tells an answer's request.
type Transaction [stun.TransactionIDSize]byte

// Request is a Binding request.
type Request struct {
	Transaction  Transaction
	ChangeIP     bool
	ChangePort   bool
	ResponsePort uint16 // zero: where it came from
	Padding      int    // bytes of PADDING, which come back
	Path         *PathTest
	// Size is how long the whole message shall be, in bytes, a multiple of 4; zero,
	// or too short for the rest: as it comes.
	Size int
	// Trailing is bytes behind the message, 1 to 3, for packets of any length: only
	// servers that pass over them answer.
	Trailing int
}

// Append appends the encoded request to b.
func (r Request) Append(b []byte) []byte {
	m := stun.Message{Type: stun.BindingRequest, TransactionID: r.Transaction}
	m.WriteHeader()
	if r.ChangeIP || r.ChangePort {
		flags := make([]byte, 4)
		if r.ChangeIP {
			flags[3] |= changeIP
		}
		if r.ChangePort {
			flags[3] |= changePort
		}
		m.Add(stun.AttrChangeRequest, flags)
	}
	if r.ResponsePort != 0 {
		m.Add(stun.AttrResponsePort, binary.BigEndian.AppendUint16(nil, r.ResponsePort))
	}
	if r.Padding > 0 {
		m.Add(stun.AttrPadding, make([]byte, r.Padding))
	}
	if r.Path != nil {
		m.Add(attrPathTest, r.Path.value())
	}
	if filler := r.Size - len(m.Raw) - attributeHeaderLen; filler >= 0 {
		m.Add(attrFiller, make([]byte, filler))
	}
	return append(append(b, m.Raw...), make([]byte, r.Trailing)...)
}
