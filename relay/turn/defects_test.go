package turn

// What pion/turn v3.0.3 gets wrong, and must not show.

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v2"
)

func four(t stun.AttrType, first byte) stun.RawAttribute {
	return stun.RawAttribute{Type: t, Value: []byte{first, 0, 0, 0}}
}

// pion gives a UDP relay of IPv4 whatever is asked for.
func TestAllocateWhatThereIsNot(t *testing.T) {
	const tcp = 6
	_, at := serve(t, testConfig())
	known := dial(t, at, testUser, testPassword)
	known.allocate()
	for _, test := range []struct {
		name string
		want int
		set  []stun.Setter
	}{
		{"no transport", 400, nil},
		{"short transport", 400, []stun.Setter{stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{protocolUDP}}}},
		{"TCP", 442, []stun.Setter{four(stun.AttrRequestedTransport, tcp)}},
		{"IPv6", 440, []stun.Setter{overUDP, four(stun.AttrRequestedAddressFamily, familyIPv6)}},
		{"no family", 440, []stun.Setter{overUDP, four(stun.AttrRequestedAddressFamily, 9)}},
		{"short family", 400, []stun.Setter{overUDP, stun.RawAttribute{Type: stun.AttrRequestedAddressFamily, Value: []byte{1}}}},
		{"families", 400, []stun.Setter{overUDP, four(stun.AttrRequestedAddressFamily, familyIPv4), four(attrAdditionalFamily, familyIPv6)}},
		{"additional IPv4", 400, []stun.Setter{overUDP, four(attrAdditionalFamily, familyIPv4)}},
		{"reserved by nobody", 508, []stun.Setter{overUDP, stun.RawAttribute{Type: stun.AttrReservationToken, Value: make([]byte, 8)}}},
		{"short token", 400, []stun.Setter{overUDP, stun.RawAttribute{Type: stun.AttrReservationToken, Value: make([]byte, 7)}}},
		{"reserve and additional", 400, []stun.Setter{overUDP, stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}}, four(attrAdditionalFamily, familyIPv6)}},
		{"reserved and even", 400, []stun.Setter{overUDP, stun.RawAttribute{Type: stun.AttrReservationToken, Value: make([]byte, 8)}, stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0}}}},
		{"don't fragment", 420, []stun.Setter{overUDP, stun.RawAttribute{Type: stun.AttrDontFragment}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := known.another(at)
			if _, code := c.do(stun.MethodAllocate, test.set...); code != test.want {
				t.Errorf("%d, want %d", code, test.want)
			}
			c.allocate()
		})
	}
}

func TestAllocateIPv6(t *testing.T) {
	cfg := testConfig()
	cfg.Relays = append(cfg.Relays, netip.IPv6Loopback())
	_, at := serve(t, cfg)
	c := dial(t, at, testUser, testPassword)
	if relay := c.allocate(four(stun.AttrRequestedAddressFamily, familyIPv6)); relay.Addr() != netip.IPv6Loopback() {
		t.Errorf("relay %v", relay)
	}
	if code := c.permit(netip.MustParseAddrPort("127.0.0.2:9")); code != 443 {
		t.Errorf("IPv4 peer: %d", code)
	}
	if _, code := c.do(stun.MethodRefresh, four(stun.AttrRequestedAddressFamily, familyIPv4)); code != 443 {
		t.Errorf("Refresh of the other family: %d", code)
	}
	// One allocation has one address here, and says so.
	other := dial(t, at, testUser, testPassword)
	answer, code := other.do(stun.MethodAllocate, overUDP, four(attrAdditionalFamily, familyIPv6))
	if v, err := answer.Get(attrAddressError); code != 0 || err != nil || !bytes.Equal(v, []byte{familyIPv6, 0, 4, 40}) {
		t.Errorf("additional family: %d, ADDRESS-ERROR-CODE %x", code, v)
	}
}

// pion reads an even port off several allocations that it makes and ends.
func TestEvenPort(t *testing.T) {
	s, at := serve(t, testConfig())
	for range 8 {
		c := dial(t, at, testUser, testPassword)
		if relay := c.allocate(stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0}}); relay.Port()%2 != 0 {
			t.Errorf("relay %v", relay)
		}
	}
	if st := s.Stats(); st.Opened[UDP] != 8 {
		t.Errorf("%d opened", st.Opened[UDP])
	}
}

// pion does not answer.
func TestNoAllocation(t *testing.T) {
	_, at := serve(t, testConfig())
	peer := peerAddress(netip.MustParseAddrPort("127.0.0.2:9"))
	for method, set := range map[stun.Method][]stun.Setter{
		stun.MethodRefresh:          nil,
		stun.MethodCreatePermission: {peer},
		stun.MethodChannelBind:      {channelNumber(0x4000), peer},
	} {
		if _, code := dial(t, at, testUser, testPassword).do(method, set...); code != 437 {
			t.Errorf("%v: %d", method, code)
		}
	}
}

// pion lets anybody who can log in delete the allocation of another on the same 5-tuple.
func TestAnotherUser(t *testing.T) {
	s, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	c.user, c.password = "bob", "builder"
	peer := peerAddress(netip.MustParseAddrPort("127.0.0.2:9"))
	for method, set := range map[stun.Method][]stun.Setter{
		stun.MethodRefresh:          {lifetimeAttr(0)},
		stun.MethodCreatePermission: {peer},
		stun.MethodChannelBind:      {channelNumber(0x4000), peer},
	} {
		if _, code := c.do(method, set...); code != 441 {
			t.Errorf("%v: %d", method, code)
		}
	}
	if n := len(s.Allocations(time.Now())); n != 1 {
		t.Errorf("%d allocations", n)
	}
}

// pion answers a second Allocate unsigned.
func TestAllocateTwice(t *testing.T) {
	s, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	if _, code := c.do(stun.MethodAllocate, overUDP); code != 437 {
		t.Errorf("second: %d", code)
	}
	// The same request again, because the answer was lost, is the same allocation.
	other := dial(t, at, testUser, testPassword)
	if _, code := other.do(stun.MethodAllocate); code != 400 {
		t.Fatal(code)
	}
	m := other.request(stun.MethodAllocate, overUDP)
	first, second := other.ask(m), other.ask(m)
	if relayedAddr(t, first) != relayedAddr(t, second) {
		t.Errorf("%v, then %v", first, second)
	}
	if st := s.Stats(); st.Opened[UDP] != 2 {
		t.Errorf("%d opened", st.Opened[UDP])
	}
}

// pion ends an allocation by its 5-tuple when its relay socket is closed, which may by then be that of the next one
// of the same client.
func TestAllocateAgain(t *testing.T) {
	s, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	for i := range 200 {
		if _, code := c.do(stun.MethodRefresh, lifetimeAttr(0)); code != 0 {
			t.Fatalf("end of allocation %d: %d", i, code)
		}
		c.allocate()
	}
	if _, code := c.do(stun.MethodRefresh); code != 0 || s.Stats().Allocations[UDP] != 1 {
		t.Errorf("the last one: %d, %+v", code, s.Stats())
	}
}

// pion takes attributes that it must understand and does not.
func TestUnknownAttributes(t *testing.T) {
	_, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	const unknown = 0x0041
	for _, method := range []stun.Method{stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
		answer, code := c.do(method, stun.RawAttribute{Type: unknown, Value: make([]byte, 4)}, stun.RawAttribute{Type: 0x8077, Value: make([]byte, 4)})
		// RFC 8489 section 14.13: 16 bits each, and section 14 pads to 32.
		if want := []byte{0, 0x0a, 0, 2, 0, unknown, 0, 0}; code != 420 || !bytes.Contains(answer.Raw, want) {
			t.Errorf("%v: %d, %x", method, code, answer.Raw)
		}
		answer, code = c.do(method, stun.RawAttribute{Type: unknown}, stun.RawAttribute{Type: unknown + 1}, stun.RawAttribute{Type: unknown}, stun.RawAttribute{Type: unknown + 2})
		if want := []byte{0, 0x0a, 0, 6, 0, unknown, 0, unknown + 1, 0, unknown + 2, 0, 0}; code != 420 || !bytes.Contains(answer.Raw, want) {
			t.Errorf("%v: %d, %x", method, code, answer.Raw)
		}
	}
}

// pion forwards the first 1,600 bytes of what is longer.
func TestOversize(t *testing.T) {
	s, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	relay := c.allocate()
	peer := listenUDP(t, elsewhere)
	here := unmap(peer.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort())
	if code := c.bind(0x4000, here); code != 0 {
		t.Fatal(code)
	}
	for _, size := range []int{1, maxDatagram, maxDatagram + 1, 1800, 0, 7} {
		if _, err := peer.WriteToUDPAddrPort(make([]byte, size), relay); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{1, maxDatagram, 0, 7} {
		b := c.read(5 * time.Second)
		if want := channelHeader + (size+3)/4*4; len(b) != want {
			t.Errorf("%d bytes came, want %d", len(b), want)
		}
	}
	eventually(t, "counted", func() bool { return s.Stats().Drops[DropOversize] == 2 })
	// And the other way.
	c.send(make([]byte, maxDatagram+1))
	eventually(t, "counted", func() bool { return s.Stats().Drops[DropOversize] == 3 })
}

// package stun, which pion reads peers' addresses with, panics where one ends at the end of a buffer.
func TestShortPeerAddress(t *testing.T) {
	s, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	for size := range 64 { // some fill a buffer of the allocator's
		c.send(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
			stun.RawAttribute{Type: stun.AttrData, Value: make([]byte, 4*size)},
			stun.RawAttribute{Type: stun.AttrXORPeerAddress}).Raw)
	}
	for _, value := range [][]byte{{}, {0}, {0, 1, 2, 3}, {0, 1, 2, 3, 4, 5, 6}, {0, 2, 2, 3, 4, 5, 6, 7}, {0, 9, 2, 3, 4, 5, 6, 7}, make([]byte, 24)} {
		bad := stun.RawAttribute{Type: stun.AttrXORPeerAddress, Value: value}
		if _, code := c.do(stun.MethodCreatePermission, bad); code != 400 {
			t.Errorf("permission for %x: %d", value, code)
		}
		if _, code := c.do(stun.MethodChannelBind, channelNumber(0x4001), bad); code != 400 {
			t.Errorf("channel to %x: %d", value, code)
		}
	}
	eventually(t, "dropped", func() bool { return s.Stats().Drops[DropMalformed] == 64 })
}

// pion has no bounds on these.
func TestPermissionsAndChannelsAreBounded(t *testing.T) {
	_, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	peer := netip.MustParseAddr("203.0.113.0")
	for i := range maxPermissions {
		peer = peer.Next()
		if code := c.permit(netip.AddrPortFrom(peer, 9)); code != 0 {
			t.Fatalf("permission %d: %d", i, code)
		}
	}
	if code := c.permit(netip.AddrPortFrom(peer.Next(), 9)); code != 508 {
		t.Errorf("one more permission: %d", code)
	}
	if code := c.permit(netip.AddrPortFrom(peer, 9)); code != 0 {
		t.Errorf("an old one again: %d", code)
	}
	for i := range maxChannels {
		if code := c.bind(0x4000+uint16(i), netip.AddrPortFrom(peer, 1000+uint16(i))); code != 0 {
			t.Fatalf("channel %d: %d", i, code)
		}
	}
	if code := c.bind(0x5000, netip.AddrPortFrom(peer, 99)); code != 508 {
		t.Errorf("one more channel: %d", code)
	}
	if code := c.bind(0x4000, netip.AddrPortFrom(peer, 1000)); code != 0 {
		t.Errorf("an old one again: %d", code)
	}
}

func TestChannelBindConflicts(t *testing.T) {
	_, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	one, two := netip.MustParseAddrPort("203.0.113.1:9"), netip.MustParseAddrPort("203.0.113.1:10")
	if code := c.bind(0x4000, one); code != 0 {
		t.Fatal(code)
	}
	for name, code := range map[string]int{
		"another number": c.bind(0x4001, one),
		"another peer":   c.bind(0x4000, two),
		"low number":     c.bind(0x3fff, two), // RFC 8656 section 12.2
		"high number":    c.bind(0x8000, two),
	} {
		if code != 400 {
			t.Errorf("%s: %d", name, code)
		}
	}
	// coturn's client takes its numbers from all of RFC 5766's.
	if code := c.bind(0x7fff, two); code != 0 {
		t.Errorf("a number of RFC 5766: %d", code)
	}
}

// pion takes more than an hour for the default, and none for a shortage.
func TestLifetime(t *testing.T) {
	_, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	lifetime := func(m *stun.Message) time.Duration {
		t.Helper()
		r := request{Message: *m}
		n, present, ok := r.number(stun.AttrLifetime, 4)
		if !present || !ok {
			t.Fatalf("%v has no LIFETIME", m)
		}
		return time.Duration(n) * time.Second
	}
	answer, _ := c.do(stun.MethodAllocate, overUDP, lifetimeAttr(0))
	if got := lifetime(answer); got != defaultLifetime {
		t.Errorf("Allocate for 0 s: %v", got)
	}
	for asked, want := range map[time.Duration]time.Duration{
		time.Second: defaultLifetime, 20 * time.Minute: 20 * time.Minute,
		time.Hour: maxLifetime, 1e6 * time.Second: maxLifetime,
	} {
		if answer, code := c.do(stun.MethodRefresh, lifetimeAttr(asked)); code != 0 || lifetime(answer) != want {
			t.Errorf("Refresh for %v: %d, %v", asked, code, answer)
		}
	}
	if answer, code := c.do(stun.MethodRefresh, lifetimeAttr(0)); code != 0 || lifetime(answer) != 0 {
		t.Errorf("Refresh for 0 s: %d", code)
	}
	if _, code := c.do(stun.MethodRefresh, lifetimeAttr(0)); code != 437 {
		t.Errorf("and again: %d", code)
	}
}
