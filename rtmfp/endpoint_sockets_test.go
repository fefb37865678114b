package rtmfp_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp/internal/memnet"
)

// An address that comes while an endpoint serves is served; when it goes its sessions are lost for as long, and
// those at other addresses go on.
func TestEndpointSocketsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, memnet.Path{Delay: 20 * time.Millisecond})
		server := newParty(t, n, "192.0.2.1:1935", serverIdentity(t), nil)
		a := newParty(t, n, "198.51.100.1:1000", clientIdentity(t), nil)
		b := newParty(t, n, "198.51.100.2:1000", clientIdentity(t), nil)
		atA := a.open(uri(server.addr))
		second := netip.MustParseAddrPort("192.0.2.2:1935")
		if err := server.ep.Add(n.Listen(second)); err != nil {
			t.Fatal(err)
		}
		atB := b.open(uri(second))
		a.say(atA, "from a")
		settle(time.Second)
		b.say(atB, "from b")
		settle(time.Second)
		if server.opened() != 2 || server.session(1).Local() != second {
			t.Fatalf("%d sessions, want one at each address", server.opened())
		}
		first := n.Listen(netip.MustParseAddrPort("192.0.2.3:1935"))
		if err := server.ep.Add(first); err != nil {
			t.Fatal(err)
		}
		if err := server.ep.Remove(first.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if err := server.ep.Remove(first.LocalAddr()); err != nil {
			t.Errorf("one that is not there: %v", err)
		}
		if err := server.ep.Remove(second); err != nil {
			t.Fatal(err)
		}
		a.say(atA, "one")
		b.say(atB, "two")
		settle(time.Second)
		if got := server.got(); len(got) != 3 || got[2] != "one" {
			t.Errorf("without the second address: %q", got)
		}
		if err := server.ep.Add(n.Listen(second)); err != nil {
			t.Fatal(err)
		}
		settle(20 * time.Second) // it repeats itself
		if got := server.got(); len(got) != 4 || got[3] != "two" {
			t.Errorf("when it came back: %q", got)
		}
		// The main one is a socket like others.
		if err := server.ep.Remove(server.addr); err != nil {
			t.Fatal(err)
		}
		b.say(atB, "three")
		settle(time.Second)
		if got := server.got(); len(got) != 5 {
			t.Errorf("without the main address: %q", got)
		}
		for _, p := range []*party{server, a, b} {
			p.ep.Close()
		}
	})
}
