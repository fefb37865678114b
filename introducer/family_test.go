package introducer

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/natprobe/lab"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// dualNode is a node with probe sockets, and its main one in IPv6 too.
func (n *network) dualNode() (*Node, netip.AddrPort) {
	n.t.Helper()
	node, at := n.probingNode(2)
	at6 := netip.AddrPortFrom(netip.MustParseAddr("2001:db8:ffff::1"), at.Port())
	node.cfg.Routes = append(node.cfg.Routes, at6)
	n.bind(at6, n.engines[at])
	return node, at
}

// dual has a client with an address of each family connect over IPv4.
func (n *network) dual(at, inside, inside6 netip.AddrPort, reported ...netip.AddrPort) *user {
	n.t.Helper()
	u := &user{net: n, id: identity(n.t, flash.IdentityOptions{}), mode: rtmfp.AnswerIntroductions}
	u.engine, u.addr = n.add(inside.String(), rtmfp.Config{Identity: u.id, Handler: u, SequentialIDs: true})
	n.bind(inside6, u.engine)
	u.dial(at, "app", reported...)
	n.wait(3500 * time.Millisecond)
	return u
}

// A reported address of the other family is named once it answered there, and
// what is only claimed is neither named nor sent anything but probes.
func TestProvenFamily(t *testing.T) {
	own6 := netip.MustParseAddrPort("[2001:db8:1::2]:5006")
	victim := netip.MustParseAddrPort("[2001:db8:bad::1]:5006")
	for _, test := range []struct {
		name     string
		reported netip.AddrPort
		proven   bool
	}{
		{"its own", own6, true},
		{"a victim's", victim, false},
		{"its own with another port", netip.AddrPortFrom(own6.Addr(), 1), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newNetwork(t)
			n.slow(20 * time.Millisecond)
			node, at := n.dualNode()
			n.watch = func(_, to netip.AddrPort, _ []byte) {
				if to.Addr() == victim.Addr() {
					t.Errorf("sent to the victim at %v", to)
				}
			}
			k, _ := lab.KindNamed("N5")
			inside := netip.MustParseAddrPort("10.1.0.2:5000")
			n.behind(k, inside.Addr(), 1, netip.MustParseAddr("198.51.100.9"))
			u := n.dual(at, inside, own6, inside, test.reported)
			p := node.peers[u.id.PeerID()]
			if (p.proven == test.reported) != test.proven {
				t.Fatalf("proven %v", p.proven)
			}
			other := n.user("203.0.113.77:5000").connect(at)
			names := named(p, node.peers[other.id.PeerID()])
			if got := slices.ContainsFunc(names, func(a wire.Address) bool { return a.AddrPort == test.reported }); got != test.proven {
				t.Errorf("named: %v", names)
			}
			u.client.Close()
		})
	}
}
