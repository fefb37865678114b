package turn

import (
	"fmt"
	"net/netip"

	"github.com/pion/stun/v2"
)

// judgeWish reads what relay address an Allocate asks for (RFC 8656 section 7.2), and returns its
// RESERVATION-TOKEN, if any.
func (f *front) judgeWish(ex *exchange) (token []byte, no *refusal) {
	bad := func(reason string) ([]byte, *refusal) {
		return nil, &refusal{code: stun.CodeBadRequest, reason: reason}
	}
	values := map[stun.AttrType]uint32{}
	for _, a := range []struct {
		stun.AttrType
		size int
	}{
		{stun.AttrRequestedTransport, 4},
		{stun.AttrLifetime, 4},
		{stun.AttrRequestedAddressFamily, 4},
		{attrAdditionalFamily, 4},
		{stun.AttrEvenPort, 1},
		{stun.AttrReservationToken, tokenLen},
	} {
		value, present, ok := ex.number(a.AttrType, a.size)
		if !ok {
			return bad(badLength(a.AttrType, a.size))
		}
		if present {
			values[a.AttrType] = value
		}
	}
	transport, hasTransport := values[stun.AttrRequestedTransport]
	if !hasTransport {
		return bad("REQUESTED-TRANSPORT is missing")
	}
	if transport != protocolUDP {
		return nil, &refusal{
			code:   stun.CodeUnsupportedTransProto,
			reason: fmt.Sprintf("REQUESTED-TRANSPORT is %d: relays are of UDP (%d) alone", transport, protocolUDP),
		}
	}
	family, asksFamily := values[stun.AttrRequestedAddressFamily]
	additional, asksAdditional := values[attrAdditionalFamily]
	even, asksEven := values[stun.AttrEvenPort]
	_, hasToken := values[stun.AttrReservationToken]
	const reserveNext = 0x80
	ex.even, ex.reserve, ex.partial = asksEven, even&reserveNext != 0, asksAdditional
	for _, both := range []struct {
		are         bool
		these, them string
	}{
		{hasToken && asksEven, "RESERVATION-TOKEN", "EVEN-PORT"},
		{hasToken && asksFamily, "RESERVATION-TOKEN", "REQUESTED-ADDRESS-FAMILY"},
		{hasToken && asksAdditional, "RESERVATION-TOKEN", "ADDITIONAL-ADDRESS-FAMILY"},
		{asksFamily && asksAdditional, "REQUESTED-ADDRESS-FAMILY", "ADDITIONAL-ADDRESS-FAMILY"},
		{ex.reserve && asksAdditional, "EVEN-PORT with its R bit", "ADDITIONAL-ADDRESS-FAMILY"},
	} {
		if both.are {
			return bad(both.these + " and " + both.them + " exclude each other")
		}
	}
	if asksAdditional && additional == familyIPv4 {
		return bad("ADDITIONAL-ADDRESS-FAMILY may only be IPv6 (2)")
	}
	ex.lifetime, _ = ex.request.lifetime(f.server.lifetime)
	if hasToken {
		attr, _ := ex.Attributes.Get(stun.AttrReservationToken)
		return attr.Value, nil
	}
	if !asksFamily {
		family = familyIPv4
	}
	var ok bool
	if ex.relay, ok = f.relayAddr(family); !ok {
		return nil, &refusal{code: stun.CodeAddrFamilyNotSupported, reason: noRelayOf(family)}
	}
	return nil, nil
}

// noRelayOf says why there is no relay address of a family.
func noRelayOf(family uint32) string {
	switch family {
	case familyIPv4:
		return "this server has no IPv4 relay address"
	case familyIPv6:
		return "this server has no IPv6 relay address"
	default:
		return fmt.Sprintf("REQUESTED-ADDRESS-FAMILY is %d, neither IPv4 (%d) nor IPv6 (%d)", family, familyIPv4, familyIPv6)
	}
}

// attrNames are those of attributes that have a length (RFC 8656 section 18); package stun has not all of them.
var attrNames = map[stun.AttrType]string{
	stun.AttrRequestedTransport: "REQUESTED-TRANSPORT", stun.AttrLifetime: "LIFETIME",
	stun.AttrRequestedAddressFamily: "REQUESTED-ADDRESS-FAMILY", attrAdditionalFamily: "ADDITIONAL-ADDRESS-FAMILY",
	stun.AttrEvenPort: "EVEN-PORT", stun.AttrReservationToken: "RESERVATION-TOKEN", stun.AttrChannelNumber: "CHANNEL-NUMBER",
}

func badLength(t stun.AttrType, size int) string {
	if size == 1 {
		return attrNames[t] + " is not 1 byte long"
	}
	return fmt.Sprintf("%s is not %d bytes long", attrNames[t], size)
}

// relayAddr is where relay sockets of a family are bound for clients of this front: at the address where
// they reached it, if possible.
func (f *front) relayAddr(family uint32) (netip.Addr, bool) {
	want4 := family == familyIPv4
	if !want4 && family != familyIPv6 {
		return netip.Addr{}, false
	}
	best := netip.Addr{}
	for _, a := range f.server.rules().relays {
		if a.Is4() == want4 && (!best.IsValid() || a == f.local.Addr()) {
			best = a
		}
	}
	return best, best.IsValid()
}
