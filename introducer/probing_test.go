package introducer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
)

// probingNode is a node with probe sockets on one address or two.
func (n *network) probingNode(addrs int) (*Node, netip.AddrPort) {
	n.t.Helper()
	return n.probingNodeOf(Config{}, addrs)
}

func (n *network) probingNodeOf(c Config, addrs int) (*Node, netip.AddrPort) {
	n.t.Helper()
	c.Alternates = []netip.Addr{lab.SecondNodeAddress}
	for i, ip := range []netip.Addr{lab.FirstNodeAddress, lab.SecondNodeAddress}[:addrs] {
		for port := uint16(1936); port <= 1943; port++ {
			c.Probes = append(c.Probes, netip.AddrPortFrom(ip, port))
		}
		if i > 0 {
			c.Routes = append(c.Routes, netip.AddrPortFrom(ip, lab.NodePort))
		}
		c.Routes = append(c.Routes, netip.AddrPortFrom(ip, 443))
	}
	node, e, at := n.node(c)
	for _, a := range append(c.Probes, c.Routes...) {
		n.bind(a, e)
	}
	return node, at
}

// visit has a client behind NATs of a kind connect and be classified.
func (n *network) visit(node *Node, at netip.AddrPort, k lab.Kind, seed uint64, mode rtmfp.IntroductionMode) (*user, *Peer) {
	n.t.Helper()
	inside := netip.MustParseAddrPort("10.1.0.2:5000")
	if len(k.Chain) == 0 || k.Chain[0].Mapping == lab.NoTranslation {
		inside = netip.MustParseAddrPort("203.0.113.7:5000")
	}
	n.behind(k, inside.Addr(), seed, netip.MustParseAddr("100.64.1.2"), netip.MustParseAddr("198.51.100.9"))
	u := &user{net: n, id: identity(n.t, flash.IdentityOptions{}), mode: mode}
	u.engine, u.addr = n.add(inside.String(), rtmfp.Config{Identity: u.id, Handler: u, SequentialIDs: true})
	app := "app"
	if seed == connectivitySeed {
		app = connectivityApp
	}
	u.dial(at, app, inside)
	n.wait(500 * time.Millisecond)
	n.wait(3 * time.Second) // "done within 3 s of setPeerInfo at 40 ms RTT"
	return u, node.peers[u.id.PeerID()]
}

const connectivitySeed = 4711

// Every kind of NAT is classified rightly or not at all, with and without loss.
func TestClassification(t *testing.T) {
	want := map[string]natprobe.Class{
		"N0": natprobe.Public, "N1": natprobe.Firewall, "N2": natprobe.FullCone, "N3": natprobe.AddressRestricted,
		"N4": natprobe.PortRestricted, "N4i": natprobe.PortRestricted, "N5": natprobe.SymmetricRandom,
		"N6": natprobe.SymmetricStepping, "N7": natprobe.SymmetricOpenFilter, "N8": natprobe.PortRestricted,
		"N11": natprobe.Blocked, "N11s": natprobe.Blocked,
	}
	for _, k := range lab.Kinds() {
		class, ok := want[k.Name]
		if !ok {
			continue
		}
		for _, loss := range []float64{0, 0.1} {
			t.Run(fmt.Sprintf("%s loss %v", k.Name, loss), func(t *testing.T) {
				right, tries := 0, 20
				for seed := range tries {
					n := newNetwork(t)
					n.slow(20 * time.Millisecond)
					r := rand.New(rand.NewPCG(uint64(seed), 7))
					node, at := n.probingNode(2)
					if loss > 0 {
						n.lose = func() bool { return r.Float64() < loss }
					}
					_, p := n.visit(node, at, k, uint64(seed), rtmfp.AnswerIntroductions)
					switch {
					case p == nil || p.behavior == nil:
						if loss == 0 {
							t.Fatalf("seed %d: not classified within 3 s", seed)
						}
					case p.behavior.Class() == class:
						right++
					case p.behavior.Class() != natprobe.ClassUnknown:
						t.Errorf("seed %d: classified %v: %+v", seed, p.behavior.Class(), p.behavior)
					}
				}
				if loss == 0 && right < tries*9/10 {
					t.Errorf("%d of %d classified", right, tries)
				}
				t.Logf("%d of %d", right, tries)
			})
		}
	}
}

// With one address nothing is guessed that one address cannot tell.
func TestClassificationWithOneAddress(t *testing.T) {
	for _, name := range []string{"N0", "N1", "N2", "N3", "N4", "N5", "N6", "N7"} {
		t.Run(name, func(t *testing.T) {
			k, ok := lab.KindNamed(name)
			if !ok {
				t.Fatal("no such kind")
			}
			n := newNetwork(t)
			n.slow(20 * time.Millisecond)
			node, at := n.probingNode(1)
			_, p := n.visit(node, at, k, 1, rtmfp.AnswerIntroductions)
			if p == nil || p.behavior == nil {
				t.Fatal("not classified")
			}
			b := p.behavior
			if b.Mapping == natprobe.EIM && k.Looks.Mapping != lab.NoTranslation || b.Mapping == natprobe.ADM || b.Filtering == natprobe.ADF ||
				b.Filtering == natprobe.EIF {
				t.Errorf("claims %v and %v from one address", b.Mapping, b.Filtering)
			}
		})
	}
}

// A client that ignores introductions is called that, not a NAT.
func TestSilentClient(t *testing.T) {
	n := newNetwork(t)
	n.slow(20 * time.Millisecond)
	node, at := n.probingNode(2)
	k, _ := lab.KindNamed("N4")
	u, p := n.visit(node, at, k, 1, rtmfp.IgnoreIntroductions)
	if p == nil || p.behavior == nil || p.behavior.Class() != natprobe.Silent {
		t.Fatalf("%+v", p.behavior)
	}
	if st := u.engine.Stats(); st.Sessions != 1 {
		t.Errorf("the client has %d sessions", st.Sessions)
	}
}

func TestConnectivityApp(t *testing.T) {
	n := newNetwork(t)
	n.slow(20 * time.Millisecond)
	node, at := n.probingNode(2)
	k, _ := lab.KindNamed("N6")
	u, _ := n.visit(node, at, k, connectivitySeed, rtmfp.AnswerIntroductions)
	var got amf.Object
	for _, o := range u.events {
		if o.String("code") == "NetConnection.ConnectivityCheck.Results" {
			got = o
		}
	}
	if got == nil {
		t.Fatalf("no event among %v", u.events)
	}
	for name, want := range map[string]bool{
		"publicAddressIsLocal": false, "receiveSameAddressDifferentPortAllowed": false,
		"receiveDifferentAddressDifferentPortAllowed": false, "sendAfterIntroductionAllowed": true,
		"sendAfterIntroductionPreservesSourceAddress": true, "sendAfterIntroductionPreservesSourcePort": false,
	} {
		if v := got.Get(name); v != amf.Boolean(want) {
			t.Errorf("%s: %v, want %v", name, v, want)
		}
	}
	if got.String("natClass") != "symmetric-stepping" || got.Number("portStep") != 1 || got.String("advice") == "" {
		t.Errorf("%v", got)
	}
}

// The node's rate delays probes and skips none.
func TestProbeRate(t *testing.T) {
	n := newNetwork(t)
	n.slow(20 * time.Millisecond)
	node, at := n.probingNode(2)
	node.cfg.ProbeRate = 2
	for range probeBurst + 20 {
		node.line.sent(n.Now(), node.cfg.ProbeRate) // ten seconds ahead of the rate
	}
	k, _ := lab.KindNamed("N4")
	_, p := n.visit(node, at, k, 1, rtmfp.AnswerIntroductions)
	if p.behavior != nil {
		t.Fatal("classified within 3 s at 2 packets a second")
	}
	n.wait(30 * time.Second)
	if p.behavior == nil || p.behavior.Class() != natprobe.PortRestricted {
		t.Errorf("%+v", p.behavior)
	}
}

// A crowd is served in the order in which it came, and everybody in the end.
func TestProbeLine(t *testing.T) {
	n := newNetwork(t)
	n.slow(20 * time.Millisecond)
	node, at := n.probingNode(2)
	node.cfg.ProbeRate = 100
	var users []*user
	for i := range 8 {
		u := n.user(fmt.Sprintf("203.0.113.%d:5000", i+1))
		u.dial(at, "app", u.addr)
		users = append(users, u)
	}
	n.wait(6 * time.Second)
	for i, u := range users {
		p := node.peers[u.id.PeerID()]
		if p == nil || p.behavior == nil || p.behavior.Class() != natprobe.Public {
			t.Fatalf("user %d: %+v", i, p.behavior)
		}
	}
	if !node.line.empty() {
		t.Error("rounds left in the line")
	}
	if st := node.Stats(); st.Probes > 8*natprobe.MaxPackets {
		t.Errorf("%d packets", st.Probes)
	}
}

func TestSteady(t *testing.T) {
	answered := func(tries ...int) (obs []natprobe.Observation) {
		for _, n := range tries {
			obs = append(obs, natprobe.Observation{Tries: n, Hits: 1})
		}
		return append(obs, natprobe.Observation{Tries: natprobe.MinTries}) // filtered, for all that is known
	}
	for _, c := range []struct {
		name string
		obs  []natprobe.Observation
		want bool
	}{
		{"nothing known", nil, false},
		{"too few", answered(1, 1, 1, 1), false},
		{"all at once", answered(1, 1, 1, 1, 1), true},
		{"one was repeated", answered(1, 1, 1, 2, 1, 1, 1), false},
	} {
		if got := steady(c.obs); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
