package introducer

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
)

// matrixKinds are the sites of the table of pairs.
var matrixKinds = []string{"N0", "N1", "N2", "N3", "N4", "N4i", "N5", "N6", "N7", "N8", "N11"}

// direct says which pairs meet without a relay, in either direction: all with a
// public host or an open or address-restricted cone but N11, and what can be
// punched or predicted.
func direct(a, b string) bool {
	symmetric := func(k string) bool { return k == "N5" || k == "N7" }
	restricted := func(k string) bool { return k == "N1" || k == "N4" || k == "N4i" || k == "N8" }
	easy := func(k string) bool { return k == "N0" || k == "N2" || k == "N3" }
	switch {
	case a == "N11" || b == "N11":
		return false
	case easy(a) || easy(b), restricted(a) && restricted(b), a == "N7" && b == "N7":
		return true
	case symmetric(a) || symmetric(b):
		return false
	}
	return true // one of them steps, or both
}

// startup is how long an initiator of a kind takes at most: IHello, FIHello, RHello,
// IIKeying and RIKeying each cross half the way. To one whose port changes the
// early RHello cannot come.
// Where both change, the cookie is made for another address than the IIKeying's.
func startup(initiator, target string, rtt time.Duration) time.Duration {
	switch initiator {
	case "N5", "N6", "N7":
		if initiator == "N7" && target == "N7" {
			return 7*rtt/2 + 10*time.Millisecond
		}
		return 3*rtt + 10*time.Millisecond
	}
	return 5*rtt/2 + 10*time.Millisecond
}

// site has a client of a kind connect, with an inside address of its own.
func (n *network) site(at netip.AddrPort, name string, i int) *user {
	n.t.Helper()
	k, ok := lab.KindNamed(name)
	if !ok {
		n.t.Fatalf("no kind %s", name)
	}
	inside := netip.AddrFrom4([4]byte{10, byte(i), 0, 2})
	if len(k.Chain) == 0 || k.Chain[0].Mapping == lab.NoTranslation {
		inside = netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)})
	}
	n.behind(k, inside, uint64(i), netip.AddrFrom4([4]byte{100, 64, byte(i), 2}), netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)}))
	u := &user{net: n, id: identity(n.t, flash.IdentityOptions{}), mode: rtmfp.AnswerIntroductions}
	u.engine, u.addr = n.add(netip.AddrPortFrom(inside, 5000).String(), rtmfp.Config{Identity: u.id, Handler: u, SequentialIDs: true})
	u.dial(at, "app", u.addr)
	n.wait(3500 * time.Millisecond)
	return u
}

// Every ordered pair of NAT types, with unmodified clients: the plans of a node
// that has classified both bring together all that can meet without a relay.
func TestMatrix(t *testing.T) {
	met, expected := 0, 0
	for i, a := range matrixKinds {
		for j, b := range matrixKinds {
			if direct(a, b) {
				expected++
			}
			t.Run(fmt.Sprintf("%s to %s", a, b), func(t *testing.T) {
				n := newNetwork(t)
				n.slow(20 * time.Millisecond)
				node, at := n.probingNode(2)
				initiator, target := n.site(at, a, 2*(i*len(matrixKinds)+j)%200), n.site(at, b, (2*(i*len(matrixKinds)+j)+1)%200)
				s, err := initiator.engine.Open(rtmfp.Target{EPD: target.id.Certificate().EPD(), Addrs: []netip.AddrPort{at}}, sessions{initiator})
				if err != nil {
					t.Fatal(err)
				}
				began := n.Now()
				for n.Now().Sub(began) < 1200*time.Millisecond && !s.Open() {
					n.wait(10 * time.Millisecond)
				}
				if s.Open() {
					met++
				}
				if s.Open() != direct(a, b) {
					p := node.peers[target.id.PeerID()]
					t.Errorf("open %v after %v, want %v; target %v, plans %v", s.Open(), n.Now().Sub(began), direct(a, b), p.behavior.Class(), node.Stats().Strategies)
				} else if limit := startup(a, b, 40*time.Millisecond); s.Open() && n.Now().Sub(began) > limit {
					t.Errorf("took %v, not %v", n.Now().Sub(began), limit)
				}
			})
		}
	}
	if expected != 77 || met != 77 {
		t.Errorf("%d of %d pairs met, want 77 of 121", met, len(matrixKinds)*len(matrixKinds))
	}
}

// typicalOf is what a node with two addresses finds a kind of site to be.
func typicalOf(k lab.Kind) (b natprobe.Behavior) {
	yes, no := natprobe.Finding{Answer: natprobe.Yes}, natprobe.Finding{Answer: natprobe.No}
	b.AnswersIntroductions, b.BlockedRoutes, b.Public = yes, no, no
	if len(k.Chain) > 0 && len(k.Chain[len(k.Chain)-1].Egress) > 0 {
		b.BlockedRoutes = yes
		return b
	}
	b.Mapping = map[lab.Mapping]natprobe.Mapping{
		lab.NoTranslation: natprobe.EIM, lab.EndpointIndependentMapping: natprobe.EIM,
		lab.AddressDependentMapping: natprobe.ADM, lab.AddressAndPortDependentMapping: natprobe.APDM,
	}[k.Looks.Mapping]
	b.Filtering = map[lab.Filtering]natprobe.Filtering{
		lab.EndpointIndependentFiltering: natprobe.EIF, lab.AddressDependentFiltering: natprobe.ADF,
		lab.AddressAndPortDependentFiltering: natprobe.APDF,
	}[k.Looks.Filtering]
	if k.Looks.Mapping == lab.NoTranslation {
		b.Public = yes
	}
	if k.Looks.Mapping == lab.AddressAndPortDependentMapping {
		b.Allocation = natprobe.Random
		if k.Looks.Allocation == lab.StepPort {
			b.Allocation, b.Step = natprobe.Stepping, 1
		}
	}
	return b
}
