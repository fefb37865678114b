package turn

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v2"

	"pileus/rtmfp/udp"
)

// Nothing inside the server's machine or network can be named as a peer, however it is spelled.
func TestForbiddenPeers(t *testing.T) {
	cfg := testConfig()
	cfg.AllowLoopback = false
	cfg.Relays = append(cfg.Relays, netip.IPv6Loopback())
	var err error
	if cfg.Names, err = udp.NewNames(map[string]string{"198.51.100.1": "203.0.113.1"}); err != nil {
		t.Fatal(err)
	}
	s, at := serve(t, cfg)
	s.Follow([]udp.Address{{Addr: netip.MustParseAddr("198.51.100.1")}}, cfg.Relays)
	four, six := dial(t, at, testUser, testPassword), dial(t, at, testUser, testPassword)
	four.allocate()
	six.allocate(stun.RawAttribute{Type: stun.AttrRequestedAddressFamily, Value: []byte{familyIPv6, 0, 0, 0}})
	n := uint16(0x4000)
	for _, a := range []string{
		"127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"100.64.0.1", "100.127.255.254", "169.254.169.254", "169.254.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1",
		"198.51.100.1", "203.0.113.1", "192.0.0.1",
		"::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "fec0::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::10.0.0.1",
		"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:0:7f00:1::",
		"::ffff:0:127.0.0.1",
	} {
		peer := netip.AddrPortFrom(netip.MustParseAddr(a), 3478)
		c := six
		if peer.Addr().Unmap().Is4() {
			c = four
		}
		// In the spelling given: a 4-in-6 address with 16 bytes.
		raw := rawPeer(peer)
		if _, code := c.do(stun.MethodCreatePermission, raw); code != 403 {
			t.Errorf("permission for %s: %d", a, code)
		}
		if _, code := c.do(stun.MethodChannelBind, channelNumber(n), raw); code != 403 {
			t.Errorf("channel to %s: %d", a, code)
		}
		// Among others that would be allowed, none gets a permission.
		if code := c.permit(netip.MustParseAddrPort("192.0.2.77:9"), peer); code != 403 && code != 443 {
			t.Errorf("permission for %s and another: %d", a, code)
		}
		n++
	}
	if code := four.permit(netip.MustParseAddrPort("8.8.8.8:0")); code != 0 {
		t.Errorf("permission for a public peer: %d", code)
	}
	if code := six.permit(netip.MustParseAddrPort("[2606:4700::1]:53")); code != 0 {
		t.Errorf("permission for a public peer of IPv6: %d", code)
	}
}

// rawPeer is XOR-PEER-ADDRESS in the family of the spelling.
type rawPeer netip.AddrPort

func (p rawPeer) AddTo(m *stun.Message) error {
	a := netip.AddrPort(p)
	family, mask := byte(familyIPv4), make([]byte, 16)
	if a.Addr().Is6() {
		family = familyIPv6
	}
	copy(mask, m.Raw[4:stunHeader])
	v := []byte{0, family, byte(a.Port()>>8) ^ mask[0], byte(a.Port()) ^ mask[1]}
	for i, b := range a.Addr().AsSlice() {
		v = append(v, b^mask[i])
	}
	m.Add(stun.AttrXORPeerAddress, v)
	return nil
}

// Packets of the server's own for one of its relay addresses stay inside, under their outside names.
func TestRelayToRelay(t *testing.T) {
	cfg := testConfig()
	var err error
	if cfg.Names, err = udp.NewNames(map[string]string{"127.0.0.1": "198.51.100.1"}); err != nil {
		t.Fatal(err)
	}
	s, at := serve(t, cfg)
	a := dial(t, at, testUser, testPassword)
	ra := a.allocate()
	b := a.another(at)
	rb := b.allocate()
	if ra.Addr().String() != "198.51.100.1" {
		t.Fatalf("relay %v", ra)
	}
	dead := netip.AddrPortFrom(ra.Addr(), 39999)
	if code := a.permit(dead); code != 403 {
		t.Errorf("permission for a port of the server: %d", code)
	}
	for _, code := range []int{a.permit(rb), b.bind(0x4001, ra)} {
		if code != 0 {
			t.Fatal(code)
		}
	}
	a.send(sendIndication(dead, []byte("inside?")))
	a.send(sendIndication(netip.AddrPortFrom(ra.Addr(), at.Port()), []byte("inside?")))
	a.send(sendIndication(rb, []byte("hello")))
	if got := b.read(5 * time.Second); string(got) != string(channelData(0x4001, []byte("hello"))) {
		t.Fatalf("%x", got)
	}
	b.send(channelData(0x4001, []byte("world")))
	got := stun.Message{Raw: a.read(5 * time.Second)}
	if err := got.Decode(); err != nil {
		t.Fatal(err)
	}
	v, _ := got.Get(stun.AttrXORPeerAddress)
	if from, ok := parsePeer(v, got.TransactionID); !ok || from != rb {
		t.Errorf("from %v, want %v", from, rb)
	}
	if st := s.Stats(); st.Drops[DropForbidden] != 2 {
		t.Errorf("%+v", st)
	}
	// When the far relay ends, its port is the server's again.
	b.do(stun.MethodRefresh, lifetimeAttr(0))
	if code := a.permit(rb); code != 403 {
		t.Errorf("permission for a relay that was: %d", code)
	}
	a.send(sendIndication(rb, []byte("anybody?")))
	eventually(t, "refused", func() bool { return s.Stats().Drops[DropForbidden] == 3 })
}

// A peer is heard only with a permission, and costs the client nothing without.
func TestPermissionIsNeeded(t *testing.T) {
	s, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	relay := c.allocate()
	peer := listenUDP(t, elsewhere)
	if _, err := peer.WriteToUDPAddrPort([]byte("hello"), relay); err != nil {
		t.Fatal(err)
	}
	eventually(t, "dropped", func() bool { return s.Stats().Drops[DropNoPermission] == 1 })
	if n := s.Allocations(time.Now())[0].Totals.Received.Packets; n != 0 {
		t.Errorf("%d packets were counted", n)
	}
	if b := c.read(10 * time.Millisecond); b != nil {
		t.Errorf("came: %x", b)
	}
	// And what a client sends without one goes nowhere.
	c.send(sendIndication(unmap(peer.LocalAddr().(*net.UDPAddr).AddrPort()), []byte("hello")))
	eventually(t, "refused", func() bool { return s.Stats().PionSaid == 1 })
	// Nor from who has no allocation.
	d := dial(t, at, testUser, testPassword)
	d.send(channelData(0x4000, []byte("hello")))
	d.send(sendIndication(unmap(peer.LocalAddr().(*net.UDPAddr).AddrPort()), []byte("hello")))
	eventually(t, "dropped", func() bool { return s.Stats().Drops[DropNoAllocation] == 2 })
}

// An address that the machine is given while the server runs is no peer from that moment on: not for a request, and
// not for packets through a channel that was bound before. The same goes for what becomes a neighbour by it.
func TestPeersFollowTheMachine(t *testing.T) {
	s, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	peer := netip.MustParseAddrPort("203.0.113.99:9")
	if code := c.bind(0x4000, peer); code != 0 {
		t.Fatalf("channel to a public address: %d", code)
	}
	forbidden := func(when string, want bool) {
		t.Helper()
		before := s.count.drops[DropForbidden].Load()
		c.send(channelData(0x4000, []byte("ping")))
		answer := c.ask(stun.MustBuild(stun.TransactionID, stun.BindingRequest)) // what came before is dealt with
		if got := s.count.drops[DropForbidden].Load() - before; answer == nil || (got == 1) != want {
			t.Errorf("%s: %d packets were refused, want %t", when, got, want)
		}
		want403 := 0
		if want {
			want403 = 403
		}
		if code := c.permit(peer); code != want403 {
			t.Errorf("%s: permission %d, want %d", when, code, want403)
		}
	}
	relays := []netip.Addr{loopback}
	forbidden("at first", false)
	s.Follow([]udp.Address{{Addr: peer.Addr(), Link: netip.MustParsePrefix("203.0.113.99/32")}}, relays)
	forbidden("once it is this machine's", true)
	s.Follow(nil, relays)
	forbidden("when it has gone", false)
	s.Follow([]udp.Address{{Addr: netip.MustParseAddr("203.0.113.1"), Link: netip.MustParsePrefix("203.0.113.0/24")}}, relays)
	forbidden("as a neighbour", true)
	// Relay sockets follow, too.
	s.Follow(nil, nil)
	if _, code := dial(t, at, testUser, testPassword).do(stun.MethodAllocate, overUDP); code != 440 {
		t.Errorf("without an address to relay at: %d", code)
	}
}
