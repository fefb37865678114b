package turn

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v2"
)

// Attributes that package stun does not name (RFC 8656 section 18).
const (
	attrAdditionalFamily stun.AttrType = 0x8000
	attrAddressError     stun.AttrType = 0x8001
)

// Values of REQUESTED-ADDRESS-FAMILY and REQUESTED-TRANSPORT.
const (
	familyIPv4  = 1
	familyIPv6  = 2
	protocolUDP = 17
)

// A request of a client, decoded.
type request struct {
	stun.Message
	fingerprint bool
}

var errRequest = errors.New("turn: malformed request")

// parseRequest decodes b, which the request refers to. Attributes behind MESSAGE-INTEGRITY are left
// out, for RFC 8489 section 14.5 says: "agents MUST ignore all attributes that follow MESSAGE-INTEGRITY,
// with the exception of the MESSAGE-INTEGRITY-SHA256 and FINGERPRINT attributes" - anybody could have
// added them.
func parseRequest(b []byte) (*request, error) {
	r := new(request)
	if err := stun.Decode(b, &r.Message); err != nil {
		return nil, errRequest
	}
	if r.Contains(stun.AttrFingerprint) {
		if stun.Fingerprint.Check(&r.Message) != nil {
			return nil, errRequest
		}
		r.fingerprint = true
	}
	return r, nil
}

// signed returns whether one of keys is the one that r was signed with, and which.
func (r *request) signed(keys []stun.MessageIntegrity) (stun.MessageIntegrity, bool) {
	for _, key := range keys {
		if key.Check(&r.Message) == nil {
			return key, true
		}
	}
	return nil, false
}

// trim drops the attributes that the signature does not cover. A signature can no longer be checked
// then.
func (r *request) trim() {
	at := slices.IndexFunc(r.Attributes, func(a stun.RawAttribute) bool { return a.Type == stun.AttrMessageIntegrity })
	if at >= 0 {
		r.Attributes = r.Attributes[:at]
	}
}

// text returns the value of a text attribute.
func (r *request) text(t stun.AttrType) (string, bool) {
	a, ok := r.Attributes.Get(t)
	return string(a.Value), ok
}

// number returns an attribute of one byte and some reserved ones, or of four.
func (r *request) number(t stun.AttrType, size int) (n uint32, present, ok bool) {
	a, present := r.Attributes.Get(t)
	if !present {
		return 0, false, true
	}
	if len(a.Value) != size {
		return 0, true, false
	}
	if size == 4 && t == stun.AttrLifetime {
		return binary.BigEndian.Uint32(a.Value), true, true
	}
	return uint32(a.Value[0]), true, true
}

// understood are the comprehension-required attributes of TURN requests. DONT-FRAGMENT is none of them
// (RFC 8656 section 7.2), since pion cannot set the DF bit of one datagram.
var understood = []stun.AttrType{
	stun.AttrUsername, stun.AttrMessageIntegrity, stun.AttrRealm, stun.AttrNonce,
	stun.AttrChannelNumber, stun.AttrLifetime, stun.AttrXORPeerAddress, stun.AttrData,
	stun.AttrEvenPort, stun.AttrRequestedTransport, stun.AttrReservationToken, stun.AttrRequestedAddressFamily,
	stun.AttrXORMappedAddress, // package stun reads 0x8020 of old clients, which is optional, as this
}

// maxUnknown keeps an error response about as small as the request.
const maxUnknown = 8

// unknown lists what RFC 8489 section 6.3.1 calls unknown comprehension-required attributes, as the
// value of UNKNOWN-ATTRIBUTES.
func (r *request) unknown() []byte {
	var list []stun.AttrType
	for _, a := range r.Attributes {
		if a.Type.Required() && !slices.Contains(understood, a.Type) && !slices.Contains(list, a.Type) && len(list) < maxUnknown {
			list = append(list, a.Type)
		}
	}
	// RFC 8489 section 14.13: "a list of 16-bit values"; package stun writes 32 bits each.
	var value []byte
	for _, t := range list {
		value = binary.BigEndian.AppendUint16(value, uint16(t))
	}
	return value
}

// peers returns the XOR-PEER-ADDRESSes.
func (r *request) peers() ([]netip.AddrPort, error) {
	var list []netip.AddrPort
	for _, a := range r.Attributes {
		if a.Type != stun.AttrXORPeerAddress {
			continue
		}
		p, ok := parsePeer(a.Value, r.TransactionID)
		if !ok {
			return nil, errRequest
		}
		list = append(list, p)
	}
	return list, nil
}

// lifetime is what the allocation gets (RFC 8656 sections 7.2 and 8.2), at least shortest.
func (r *request) lifetime(shortest time.Duration) (time.Duration, error) {
	seconds, present, ok := r.number(stun.AttrLifetime, 4)
	switch {
	case !ok:
		return 0, errRequest
	case !present:
		return shortest, nil
	case seconds == 0 && r.Type.Method == stun.MethodRefresh:
		return 0, nil
	}
	return min(max(time.Duration(seconds)*time.Second, shortest), maxLifetime), nil
}

// answer builds a response. key is nil before the request is authenticated.
func (r *request) answer(class stun.MessageClass, key stun.MessageIntegrity, set ...stun.Setter) []byte {
	all := append([]stun.Setter{stun.NewType(r.Type.Method, class), stun.NewTransactionIDSetter(r.TransactionID)}, set...)
	if key != nil {
		all = append(all, key)
	}
	if r.fingerprint {
		all = append(all, stun.Fingerprint)
	}
	m, err := stun.Build(all...)
	if err != nil {
		return nil // not reached: every value here fits
	}
	return m.Raw
}

// errorCode is ERROR-CODE with words for who reads the client's log.
func errorCode(code stun.ErrorCode, reason string) stun.ErrorCodeAttribute {
	return stun.ErrorCodeAttribute{Code: code, Reason: []byte(reason)}
}

// peerAddress is XOR-PEER-ADDRESS as a Setter.
type peerAddress netip.AddrPort

func (p peerAddress) AddTo(m *stun.Message) error {
	a := netip.AddrPort(p)
	return stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
}

func lifetimeAttr(d time.Duration) stun.RawAttribute {
	return stun.RawAttribute{
		Type:  stun.AttrLifetime,
		Value: binary.BigEndian.AppendUint32(nil, uint32(d/time.Second)),
	}
}

// parsePeer reads the value of an XOR-PEER-ADDRESS (RFC 8489 section 14.2). Package stun reads two bytes
// of it before it looks whether they are there.
func parsePeer(v []byte, transaction [stun.TransactionIDSize]byte) (netip.AddrPort, bool) {
	if len(v) < 4 {
		return netip.AddrPort{}, false
	}
	var mask [16]byte
	binary.BigEndian.PutUint32(mask[:], magicCookie)
	copy(mask[4:], transaction[:])
	port := binary.BigEndian.Uint16(v[2:4]) ^ magicCookie>>16
	for i, b := range v[4:min(len(v), 4+len(mask))] {
		mask[i] ^= b
	}
	switch {
	case v[1] == familyIPv4 && len(v) == 4+4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(mask[:4])), port), true
	case v[1] == familyIPv6 && len(v) == 4+16:
		return netip.AddrPortFrom(netip.AddrFrom16(mask).Unmap(), port), true
	}
	return netip.AddrPort{}, false
}

const typeSend = 0x0016 // Send indication

// isSend reports whether b, a STUN message, is a Send indication.
func isSend(b []byte) bool { return binary.BigEndian.Uint16(b) == typeSend }

// soundSend reports whether a Send indication is one that pion can be given. RFC 8656 section 11.2: it
// is discarded without both of its attributes; RFC 8489 section 6.3.2: and with one that is not
// understood. A peer's address too short to hold one would make pion panic.
func soundSend(b []byte) bool {
	transaction := [stun.TransactionIDSize]byte(b[8:stunHeader])
	peer, data := false, false
	for b = b[stunHeader:]; len(b) >= 4; {
		t, length := stun.AttrType(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
		n := 4 + (length+3)/4*4
		if n > len(b) {
			return false
		}
		switch {
		case t == stun.AttrXORPeerAddress:
			if _, peer = parsePeer(b[4:4+length], transaction); !peer {
				return false
			}
		case t == stun.AttrData:
			data = true
		case t.Required():
			return false
		}
		b = b[n:]
	}
	return peer && data
}
