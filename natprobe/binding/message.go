// Package binding speaks STUN Binding (RFC 8489) and its NAT behaviour discovery
// usage (RFC 5780), both ends: values and bytes, no sockets and no clock.
package binding

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

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

// Answer is what a server said to a Request.
type Answer struct {
	Transaction Transaction
	Code        int            // zero: success; else the error, 420 above all
	Seen        netip.AddrPort // where the request came from
	Other       netip.AddrPort // the server's other address and port, if it has both
	// Plain is the address of MAPPED-ADDRESS, which those who rewrite addresses in
	// payloads find; Seen is XOR-MAPPED-ADDRESS where there is one.
	Plain netip.AddrPort
	Path  *PathResult // nil: the server knows no PATH-TEST
}

var (
	errNoAnswer  = errors.New("binding: no Binding response")
	errNoAddress = errors.New("binding: response without address")
)

// ParseAnswer reads a Binding response. Neither b's source nor the transaction
// is checked.
func ParseAnswer(b []byte) (Answer, error) {
	if !IsMessage(b) {
		return Answer{}, errNoAnswer
	}
	var m stun.Message
	if err := stun.Decode(b, &m); err != nil {
		return Answer{}, err
	}
	if shortAddress(&m) {
		return Answer{}, errNoAnswer
	}
	a := Answer{Transaction: m.TransactionID}
	switch m.Type {
	case stun.BindingSuccess:
	case stun.BindingError:
		var code stun.ErrorCodeAttribute
		if err := code.GetFrom(&m); err != nil {
			return Answer{}, err
		}
		a.Code = int(code.Code)
		return a, nil
	default:
		return Answer{}, errNoAnswer
	}
	var other stun.OtherAddress
	if other.GetFrom(&m) == nil {
		a.Other = addrPort(other.IP, other.Port)
	}
	var mapped stun.XORMappedAddress
	if mapped.GetFrom(&m) == nil {
		a.Seen = addrPort(mapped.IP, mapped.Port)
	}
	var plain stun.MappedAddress
	if plain.GetFrom(&m) == nil {
		a.Plain = addrPort(plain.IP, plain.Port)
	}
	if !a.Seen.IsValid() {
		a.Seen = a.Plain
	}
	a.Path = parsePathResult(&m)
	if !a.Seen.IsValid() {
		return Answer{}, errNoAddress
	}
	return a, nil
}

// shortAddress reports whether an address attribute is too short to be one (RFC 8489
// section 14.1). pion/stun would read two bytes of it, and panic at the end of the
// message.
func shortAddress(m *stun.Message) bool {
	const least = 8 // bytes: family, port, an IPv4 address
	for _, a := range m.Attributes {
		switch a.Type {
		case stun.AttrMappedAddress, stun.AttrXORMappedAddress, stun.AttrOtherAddress, stun.AttrResponseOrigin:
			if a.Length < least {
				return true
			}
		default:
		}
	}
	return false
}

func addrPort(ip net.IP, port int) netip.AddrPort {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok || port < 0 || port > 0xffff {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port))
}

// TransactionOf returns the transaction of b, a STUN message.
func TransactionOf(b []byte) Transaction { return Transaction(b[8:headerLen]) }

// Describe says in a few words what a STUN message is, for people.
func Describe(b []byte) string {
	var m stun.Message
	if !IsMessage(b) || stun.Decode(b, &m) != nil {
		return "not STUN"
	}
	if m.Type == stun.BindingRequest {
		return "Binding request"
	}
	a, err := ParseAnswer(b)
	switch {
	case err != nil:
		return "STUN " + m.Type.String()
	case a.Code != 0:
		return fmt.Sprintf("Binding error %d", a.Code)
	}
	text := fmt.Sprintf("Binding success: seen as %v", a.Seen)
	if a.Other.IsValid() {
		text += fmt.Sprintf("; other address %v", a.Other)
	}
	if a.Path != nil {
		text += fmt.Sprintf("; asked with TOS %#02x", a.Path.TOS)
	}
	return text
}
