package binding

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/pion/stun/v2"
)

// Server answers Binding requests at a node's addresses. All of them are outside
// names, those that clients know.
type Server struct {
	// Addrs are the node's IP addresses; the first two of a family are each
	// other's alternate (RFC 5780 section 6).
	Addrs []netip.Addr
	// Ports are the two on which behaviour discovery is served at each of Addrs.
	// Elsewhere, and if the second is zero, requests get XOR-MAPPED-ADDRESS alone.
	Ports [2]uint16
}

// Response is a datagram to send.
type Response struct {
	Data     []byte
	From, To netip.AddrPort // From is one of the server's, an outside name too
	TOS      uint8          // to send it with; zero unless asked for
	Whole    bool           // to send it in one piece or not at all
}

// Received is a datagram as a server got it.
type Received struct {
	Data        []byte
	From, Local netip.AddrPort
	TOS         uint8 // IPv4 TOS or IPv6 traffic class
	HasTOS      bool  // the socket carries it, both ways
	CanBeWhole  bool  // whoever sends the answer obeys Response.Whole
	Alone       bool  // nothing but STUN comes to that socket: clients of RFC 3489 are answered, too
}

// The largest padding that comes back is that of a request of one Ethernet frame.
const maxPadding = 1452

// understood are the comprehension-required attributes that do no harm in a
// request: nobody is authenticated here.
var understood = []stun.AttrType{
	stun.AttrUsername, stun.AttrMessageIntegrity, stun.AttrRealm, stun.AttrNonce,
}

var discovery = []stun.AttrType{stun.AttrChangeRequest, stun.AttrResponsePort, stun.AttrPadding}

// Respond is RespondTo for a datagram whose TOS is not known.
func (s Server) Respond(req []byte, from, local netip.AddrPort) (Response, bool) {
	return s.RespondTo(Received{Data: req, From: from, Local: local})
}

// RespondTo answers a datagram. It reports false for what is no Binding request, to
// which nothing is to be said.
func (s Server) RespondTo(d Received) (Response, bool) {
	req, from, local := d.Data, d.From, d.Local
	if d.Alone && IsClassicRequest(req) {
		return s.classic(d)
	}
	if s.discovers(local) {
		req = Trimmed(req)
	}
	var m stun.Message
	if !IsMessage(req) || stun.Decode(req, &m) != nil || m.Type != stun.BindingRequest {
		return Response{}, false
	}
	if m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(&m) != nil {
		return Response{}, false
	}
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	r := Response{From: local, To: from}
	if unknown := s.unknown(&m, local); len(unknown) > 0 {
		r.Data = encode(&m, stun.BindingError, stun.CodeUnknownAttribute, unknown)
		return r, true
	}
	mapped := stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}
	set := []stun.Setter{&mapped}
	result := pathResult(&m, d, &r)
	if result != nil {
		set = append(set, stun.RawAttribute{Type: attrPathResult, Value: result})
	}
	if s.discovers(local) {
		more, ok := s.discover(&m, &r)
		if !ok {
			r.Data = encode(&m, stun.BindingError, stun.CodeBadRequest)
			return r, true
		}
		set = append(set, more...)
	}
	r.Data = encode(&m, stun.BindingSuccess, set...)
	if r.Whole {
		r.fill(&m, len(d.Data), result, set)
	}
	return r, true
}

// discover is what an answer at one of the two ports has besides, and changes where
// it goes from and to. It reports false for a request that contradicts itself.
func (s Server) discover(m *stun.Message, r *Response) (set []stun.Setter, ok bool) {
	port, hasPort := m.Attributes.Get(stun.AttrResponsePort)
	padding, hasPadding := m.Attributes.Get(stun.AttrPadding)
	change, hasChange := m.Attributes.Get(stun.AttrChangeRequest)
	// RFC 5780 section 6.1: "If the Request also contains the RESPONSE-PORT
	// attribute the server MUST return an error response of type 400."
	malformed := hasPort && len(port.Value) < 2 || hasChange && len(change.Value) != 4
	if malformed || hasPort && (hasPadding || binary.BigEndian.Uint16(port.Value) == 0) {
		return nil, false
	}
	local := r.From
	other, hasOther := s.other(local)
	if hasChange {
		ip, port := local.Addr(), local.Port()
		if change.Value[3]&changeIP != 0 {
			ip = other.Addr()
		}
		if change.Value[3]&changePort != 0 {
			port = other.Port()
		}
		r.From = netip.AddrPortFrom(ip, port)
	}
	set = append(set,
		&stun.MappedAddress{IP: r.To.Addr().AsSlice(), Port: int(r.To.Port())},
		&stun.ResponseOrigin{IP: r.From.Addr().AsSlice(), Port: int(r.From.Port())})
	if hasOther {
		set = append(set, &stun.OtherAddress{IP: other.Addr().AsSlice(), Port: int(other.Port())})
	}
	if hasPadding {
		// Of the request's own length, not the interface's MTU: nobody gets more
		// than he sent.
		set = append(set, stun.RawAttribute{
			Type:  stun.AttrPadding,
			Value: padding.Value[:min(len(padding.Value), maxPadding)],
		})
	}
	if hasPort {
		r.To = netip.AddrPortFrom(r.To.Addr(), binary.BigEndian.Uint16(port.Value))
	}
	return set, true
}

// unknownAttributes is UNKNOWN-ATTRIBUTES. RFC 8489 section 14.13: "a list of 16-bit values"; package stun
// writes 32 bits each.
type unknownAttributes []stun.AttrType

func (u unknownAttributes) AddTo(m *stun.Message) error {
	var list []byte
	for _, t := range u {
		list = binary.BigEndian.AppendUint16(list, uint16(t))
	}
	m.Add(stun.AttrUnknownAttributes, list)
	return nil
}

// unknown lists the attributes that a request must not have at local.
func (s Server) unknown(m *stun.Message, local netip.AddrPort) unknownAttributes {
	_, hasOther := s.other(local)
	var unknown unknownAttributes
	for _, a := range m.Attributes {
		known := !a.Type.Required() || slices.Contains(understood, a.Type) ||
			s.discovers(local) && slices.Contains(discovery, a.Type)
		// RFC 5780 section 6.1: "If the Request contains the CHANGE-REQUEST
		// attribute and the server does not have an alternate address and port
		// [...], the server MUST generate an error response of type 420."
		if a.Type == stun.AttrChangeRequest && !hasOther {
			known = false
		}
		if !known && !slices.Contains(unknown, a.Type) && len(unknown) < maxUnknown {
			unknown = append(unknown, a.Type)
		}
	}
	return unknown
}

// maxUnknown keeps an error response about as small as the request.
const maxUnknown = 8

// discovers reports whether behaviour discovery is served at local.
func (s Server) discovers(local netip.AddrPort) bool {
	return s.Ports[1] != 0 && slices.Contains(s.Ports[:], local.Port()) && slices.Contains(s.Addrs, local.Addr())
}

// other returns the address and port that differ from local in both.
func (s Server) other(local netip.AddrPort) (netip.AddrPort, bool) {
	if !s.discovers(local) {
		return netip.AddrPort{}, false
	}
	pair := make([]netip.Addr, 0, 2)
	for _, a := range s.Addrs {
		if a.Is4() == local.Addr().Is4() && len(pair) < cap(pair) {
			pair = append(pair, a)
		}
	}
	i := slices.Index(pair, local.Addr())
	if len(pair) < 2 || i < 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(pair[1-i], s.Ports[1-slices.Index(s.Ports[:], local.Port())]), true
}

// encode builds the answer to m, with a fingerprint if m has one.
func encode(m *stun.Message, t stun.MessageType, set ...stun.Setter) []byte {
	all := append([]stun.Setter{t, stun.NewTransactionIDSetter(m.TransactionID)}, set...)
	if m.Contains(stun.AttrFingerprint) {
		all = append(all, stun.Fingerprint)
	}
	answer, err := stun.Build(all...)
	if err != nil {
		return nil // not reached: every value here fits
	}
	return answer.Raw
}
