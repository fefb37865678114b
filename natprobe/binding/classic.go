package binding

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/pion/stun/v2"
)

// Clients of RFC 3489 are about, Debian's package stun-client among them. Their messages
// have no magic cookie but 128 bits of transaction, and attributes whose lengths are
// multiples of four. RFC 8489 section 12: "Stand-alone STUN servers SHOULD support
// backwards compatibility with clients using [RFC3489]"; RFC 5389 section 12.2, that they
// "SHOULD NOT be used in cases where STUN will be multiplexed with another protocol",
// since only the cookie tells STUN from that.

// The attributes of RFC 3489 section 11.2 that later RFCs have not, or call otherwise.
const (
	attrResponseAddress stun.AttrType = 0x0002
	attrSourceAddress   stun.AttrType = 0x0004
	attrPassword        stun.AttrType = 0x0007
	attrReflectedFrom   stun.AttrType = 0x000b
)

// IsClassicRequest reports whether b, a whole datagram, is a Binding request of RFC 3489.
func IsClassicRequest(b []byte) bool {
	return len(b) >= headerLen && len(b)%4 == 0 && binary.BigEndian.Uint16(b) == stun.BindingRequest.Value() &&
		binary.BigEndian.Uint32(b[cookieAt:]) != magicCookie && int(binary.BigEndian.Uint16(b[lengthAt:])) == len(b)-headerLen
}

// classic answers such a request, and reports false where silence says more than an
// answer: these clients take any for the one that they asked for.
func (s Server) classic(d Received) (Response, bool) {
	p := parser{message: d.Data}
	p.split()
	if slices.Contains(p.answer.Odd, CutOff) {
		return Response{}, false
	}
	r := Response{From: d.Local, To: netip.AddrPortFrom(d.From.Addr().Unmap(), d.From.Port())}
	other, hasOther := s.other(d.Local)
	var unknown []stun.AttrType
	for _, a := range p.attributes {
		switch a.AttrType {
		case stun.AttrChangeRequest:
			if len(a.value) != 4 || !s.discovers(d.Local) || a.value[3]&changeIP != 0 && !hasOther {
				return Response{}, false
			}
			if a.value[3]&changeIP != 0 {
				r.From = netip.AddrPortFrom(other.Addr(), r.From.Port())
			}
			if a.value[3]&changePort != 0 {
				r.From = netip.AddrPortFrom(r.From.Addr(), s.Ports[1-slices.Index(s.Ports[:], d.Local.Port())])
			}
		case stun.AttrUsername, stun.AttrMessageIntegrity, attrPassword, attrReflectedFrom: // nobody is authenticated here
		default:
			// RESPONSE-ADDRESS among them: it would have answers go to anybody.
			if a.Required() && !slices.Contains(unknown, a.AttrType) && len(unknown) < maxUnknown {
				unknown = append(unknown, a.AttrType)
			}
		}
	}
	if len(unknown) > 0 {
		r.From = d.Local
		r.Data = classicError(d.Data, unknown)
		return r, true
	}
	r.Data = classicHeader(d.Data, stun.BindingSuccess)
	r.Data = appendClassic(r.Data, stun.AttrMappedAddress, r.To)
	r.Data = appendClassic(r.Data, attrSourceAddress, r.From)
	if hasOther {
		r.Data = appendClassic(r.Data, attrChangedAddress, other)
	}
	return r, true
}

// classicHeader begins the answer to a request.
func classicHeader(request []byte, t stun.MessageType) []byte {
	b := slices.Clone(request[:headerLen])
	binary.BigEndian.PutUint16(b, t.Value())
	binary.BigEndian.PutUint16(b[lengthAt:], 0)
	return b
}

// appendAttribute appends one whose length is a multiple of four.
func appendAttribute(b []byte, t stun.AttrType, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(t))
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	binary.BigEndian.PutUint16(b[lengthAt:], uint16(len(b)-headerLen))
	return b
}

func appendClassic(b []byte, t stun.AttrType, a netip.AddrPort) []byte {
	family := byte(familyIPv4)
	if a.Addr().Is6() {
		family = familyIPv6 // which RFC 3489 has not; who asks over it knows more
	}
	return appendAttribute(b, t, append(binary.BigEndian.AppendUint16([]byte{0, family}, a.Port()), a.Addr().AsSlice()...))
}

// classicError is a 420. RFC 3489 section 11.2.10: "The length of the attribute MUST be a
// multiple of 4 bytes. If the number of attributes is an odd number, one of the attributes
// MUST be repeated in the list."
func classicError(request []byte, unknown []stun.AttrType) []byte {
	const reason = "Unknown Attribute   " // of a length that is a multiple of 4, too
	b := appendAttribute(classicHeader(request, stun.BindingError), stun.AttrErrorCode, append([]byte{0, 0, 4, 20}, reason...))
	if len(unknown)%2 == 1 {
		unknown = append(unknown, unknown[0])
	}
	var list []byte
	for _, t := range unknown {
		list = binary.BigEndian.AppendUint16(list, uint16(t))
	}
	return appendAttribute(b, stun.AttrUnknownAttributes, list)
}
