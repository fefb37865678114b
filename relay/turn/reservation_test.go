package turn

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v2"
)

var evenAndNext = stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}}

func token(t *testing.T, m *stun.Message) stun.RawAttribute {
	t.Helper()
	v, err := m.Get(stun.AttrReservationToken)
	if err != nil || len(v) != tokenLen {
		t.Fatalf("%v: RESERVATION-TOKEN %x, %v", m, v, err)
	}
	return stun.RawAttribute{Type: stun.AttrReservationToken, Value: v}
}

func addrAfter(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()+1) }

func listenThere(t *testing.T, at netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Error(err)
		return
	}
	c.Close()
}

// RFC 8656 section 7.2: the second of a pair of ports is kept for another allocation.
func TestReservation(t *testing.T) {
	s, at := serve(t, testConfig())
	first := dial(t, at, testUser, testPassword)
	if _, code := first.do(stun.MethodAllocate); code != 400 { // logs in
		t.Fatal(code)
	}
	m := first.request(stun.MethodAllocate, overUDP, evenAndNext)
	answer := first.ask(m)
	relay, ticket := relayedAddr(t, answer), token(t, answer)
	if relay.Port()%2 != 0 {
		t.Errorf("relay %v", relay)
	}
	if again := token(t, first.ask(m)); string(again.Value) != string(ticket.Value) {
		t.Errorf("the answer to the same request again has another token")
	}
	if code := first.permit(addrAfter(relay)); code != 403 {
		t.Errorf("permission for a port that is no relay yet: %d", code)
	}
	bob := first.another(at)
	bob.user, bob.password = "bob", "builder"
	if _, code := bob.do(stun.MethodAllocate, overUDP, ticket); code != 508 {
		t.Errorf("somebody else claims it: %d", code)
	}
	second := first.another(at)
	if got := second.allocate(ticket); got != addrAfter(relay) {
		t.Errorf("%v reserved the port of %v", relay, got)
	}
	if _, code := first.another(at).do(stun.MethodAllocate, overUDP, ticket); code != 508 {
		t.Errorf("claimed twice: %d", code)
	}
	// It works as any other does.
	peer := listenUDP(t, elsewhere)
	echo(peer)
	if code := second.bind(0x4000, addrOf(peer)); code != 0 {
		t.Fatal(code)
	}
	second.send(channelData(0x4000, []byte("rtcp")))
	if got := second.read(5 * time.Second); string(got) != string(channelData(0x4000, []byte("rtcp"))) {
		t.Errorf("%x", got)
	}
	if st := s.Stats(); st.Allocations[UDP] != 2 {
		t.Errorf("%+v", st)
	}
}

// What nobody claims is free again when its time is over, or its allocation's.
func TestReservationsEnd(t *testing.T) {
	s, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	free := func() bool {
		s.reserved.mu.Lock()
		defer s.reserved.mu.Unlock()
		return len(s.reserved.open) == 0
	}
	relay := c.allocate(evenAndNext)
	if free() {
		t.Error("nothing is reserved")
	}
	c.do(stun.MethodRefresh, lifetimeAttr(0))
	eventually(t, "free", free)
	listenThere(t, addrAfter(relay))

	relay = c.another(at).allocate(evenAndNext)
	s.reserved.mu.Lock()
	for _, r := range s.reserved.open {
		r.expiry.Reset(0)
	}
	s.reserved.mu.Unlock()
	eventually(t, "free", free)
	listenThere(t, addrAfter(relay))
}
