package introducer

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
)

func (n *network) node(c Config) (*Node, *rtmfp.Engine, netip.AddrPort) {
	c.Log = slog.New(slog.DiscardHandler)
	config := rtmfp.Config{
		Identity: identity(n.t, flash.IdentityOptions{AcceptAncillary: true}),
		Policy:   flash.Policy{HMAC: flash.Offer, SSEQ: flash.Offer},
	}
	if n.relay != nil {
		c.Relay, config.Foreign, config.Beside = n.relay, n.relay, n.relay.beside
	}
	node := New(c)
	config.Handler = node
	e, at := n.add("192.0.2.1:1935", config)
	if n.relay != nil {
		n.relay.attach(n, node, e)
	}
	return node, e, at
}

func TestIntroduce(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	alice := n.user("198.51.100.1:5000").connect(at)
	bob := n.user("203.0.113.1:6000").connect(at)
	if !alice.connected || !bob.connected || node.Stats().Peers != 2 {
		t.Fatalf("connected %v and %v, %d peers", alice.connected, bob.connected, node.Stats().Peers)
	}
	s := alice.seek(bob.id, at)
	if !s.Open() || s.Addr() != bob.addr || s.PeerID() != bob.id.PeerID() {
		t.Fatalf("open %v with %v at %v", s.Open(), s.PeerID(), s.Addr())
	}
	if st := node.Stats(); st.Introduced != 1 {
		t.Errorf("introduced %d times", st.Introduced)
	}
	bob.client.Close()
	n.wait(time.Second)
	if st := node.Stats(); st.Peers != 1 {
		t.Errorf("%d peers after one left", st.Peers)
	}
}

func TestSilence(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	bob := n.user("203.0.113.1:6000").connect(at)
	stranger := n.user("198.51.100.1:5000")
	silent := func(name string, target *flash.Identity, who *user) {
		t.Helper()
		answers := 0
		n.wait(time.Second) // the last acknowledgements of other matters
		n.watch = func(from, to netip.AddrPort, _ []byte) {
			if from == at && to == who.addr {
				answers++
			}
		}
		who.seek(target, at)
		n.wait(1500 * time.Millisecond)
		n.watch = nil
		if answers != 0 {
			t.Errorf("%s: the node said something", name)
		}
	}
	silent("a stranger asks for a peer", bob.id, stranger)
	silent("a stranger asks for nobody", identity(t, flash.IdentityOptions{}), stranger)
	silent("a peer asks for nobody", identity(t, flash.IdentityOptions{}), bob)
	silent("a peer asks for itself", bob.id, bob)
	if st := node.Stats(); st.Introduced != 0 || st.Stranger == 0 || st.Unknown == 0 {
		t.Errorf("%+v", st)
	}
}

func TestAnonymous(t *testing.T) {
	n := newNetwork(t)
	_, _, at := n.node(Config{Anonymous: true})
	bob := n.user("203.0.113.1:6000").connect(at)
	stranger := n.user("198.51.100.1:5000")
	if s := stranger.seek(bob.id, at); !s.Open() {
		t.Error("not introduced")
	}
}

// A certificate with nothing but ephemeral keys can be shown by anyone who has
// seen it.
func TestEphemeralCertificateIsNoPeer(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	u := n.user("203.0.113.1:6000")
	id := identity(t, flash.IdentityOptions{Ephemeral: []flash.Group{flash.Group2}})
	u.engine, u.addr = n.add("203.0.113.1:6001", rtmfp.Config{Identity: id, Handler: u})
	u.connect(at)
	if st := node.Stats(); !u.connected || st.Peers != 0 || st.Unproven != 1 {
		t.Errorf("connected %v, %+v", u.connected, st)
	}
}

func TestReconnectedPeerKeepsItsPlace(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	bob := n.user("203.0.113.1:6000").connect(at)
	// The same identity from another address, while the node still holds the
	// first session.
	again := n.user("203.0.113.1:6000")
	again.engine, again.addr = n.add("203.0.113.1:6002", rtmfp.Config{Identity: bob.id, Handler: again})
	again.connect(at)
	bob.client.Close()
	n.wait(time.Second)
	if p := node.peers[bob.id.PeerID()]; p == nil || p.Addr() != again.addr {
		t.Errorf("directory has %+v", p)
	}
}

func TestPendingIntroductions(t *testing.T) {
	p := &Peer{}
	now := time.Unix(1_700_000_000, 0)
	targets := make([]*Peer, 40)
	allowed := 0
	for i := range targets {
		targets[i] = &Peer{}
		if p.ask(targets[i], 32, now) {
			allowed++
		}
	}
	if allowed != 32 || !p.ask(targets[0], 32, now) || p.ask(targets[39], 32, now) {
		t.Errorf("%d of 40 allowed", allowed)
	}
	if !p.ask(targets[39], 32, now.Add(pendingFor)) || len(p.pending) != 1 {
		t.Errorf("%d pending after their time", len(p.pending))
	}
}

func TestNamed(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	addrs := func(list ...string) (out []netip.AddrPort) {
		for _, s := range list {
			out = append(out, netip.MustParseAddrPort(s))
		}
		return out
	}
	for _, c := range []struct {
		name           string
		target, asker  string
		report, askers []netip.AddrPort
		want           []netip.AddrPort // behind the observed one
	}{
		{"nothing reported", "203.0.113.1:6000", "198.51.100.1:5000", nil, nil, nil},
		{"private, elsewhere", "203.0.113.1:6000", "198.51.100.1:5000", addrs("192.168.1.2:6000"), addrs("10.0.0.2:5000"), nil},
		{"private, same public address", "203.0.113.1:6000", "203.0.113.1:5000", addrs("192.168.1.2:6000"), nil, addrs("192.168.1.2:6000")},
		{"private, same /24", "203.0.113.1:6000", "198.51.100.1:5000", addrs("192.168.1.2:6000"), addrs("192.168.1.77:5000"), addrs("192.168.1.2:6000")},
		{"unique local, same /64", "203.0.113.1:6000", "198.51.100.1:5000", addrs("[fd00:1::2]:6000"), addrs("[fd00:1::3]:5000"), addrs("[fd00:1::2]:6000")},
		{"unique local, other /64", "203.0.113.1:6000", "198.51.100.1:5000", addrs("[fd00:1::2]:6000"), addrs("[fd00:1:0:1::3]:5000"), nil},
		{"carrier's own, elsewhere", "203.0.113.1:6000", "198.51.100.1:5000", addrs("100.64.3.2:6000"), nil, nil},
		{"a victim's global address", "203.0.113.1:6000", "203.0.113.1:5000", addrs("192.0.2.99:53", "[2001:db8::1]:53"), nil, nil},
		{"its own, other port", "203.0.113.1:6000", "198.51.100.1:5000", addrs("203.0.113.1:6001"), nil, addrs("203.0.113.1:6001")},
		{"the observed one again", "203.0.113.1:6000", "198.51.100.1:5000", addrs("203.0.113.1:6000"), nil, nil},
		{"loopback and link-local", "203.0.113.1:6000", "203.0.113.1:5000", addrs("127.0.0.1:6000", "169.254.1.1:6000", "[fe80::1]:6000"), nil, nil},
		{
			"at most four", "203.0.113.1:6000", "203.0.113.1:5000",
			addrs("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1", "10.0.0.5:1"), nil,
			addrs("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := n.user(c.target).connect(at, c.report...)
			asker := n.user(c.asker).connect(at, c.askers...)
			list := named(node.peers[target.id.PeerID()], node.peers[asker.id.PeerID()])
			var got []netip.AddrPort
			for _, a := range list {
				got = append(got, a.AddrPort)
			}
			if want := append(addrs(c.target), c.want...); !slices.Equal(got, want) {
				t.Errorf("named %v, want %v", got, want)
			}
			target.client.Close()
			asker.client.Close()
			n.wait(30 * time.Second)
			n.Cut(target.engine)
			n.Cut(asker.engine)
		})
	}
}

// Peers on the node's own machine, behind a 1:1 NAT, are named to others by
// their outside name, but not to each other.
func TestPublicNames(t *testing.T) {
	names, err := udp.NewNames(map[string]string{"10.0.0.5": "198.51.100.7"})
	if err != nil {
		t.Fatal(err)
	}
	n := New(Config{Names: names})
	for _, c := range []struct{ addr, other, want string }{
		{"10.0.0.5:6000", "203.0.113.1:5000", "198.51.100.7:6000"},
		{"203.0.113.1:5000", "10.0.0.5:6000", "203.0.113.1:5000"},
		{"10.0.0.5:6000", "10.0.0.5:7000", "10.0.0.5:6000"},
	} {
		got := n.outside(netip.MustParseAddrPort(c.addr), netip.MustParseAddrPort(c.other))
		if got != netip.MustParseAddrPort(c.want) {
			t.Errorf("%s is named %v to %s, want %s", c.addr, got, c.other, c.want)
		}
	}
}
