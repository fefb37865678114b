package introducer

import (
	"testing"
	"time"

	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/rtmfp"
)

// Clients are told what fits their NAT, and short periods while they are relayed.
func TestKeepalivesFollowTheClass(t *testing.T) {
	for _, test := range []struct {
		kind  string
		class natprobe.Class
	}{
		{"N0", natprobe.Public}, {"N4", natprobe.PortRestricted}, {"N5", natprobe.SymmetricRandom},
	} {
		t.Run(test.kind, func(t *testing.T) {
			n := newNetwork(t)
			n.slow(20 * time.Millisecond)
			node, at := n.probingNode(2)
			k, _ := lab.KindNamed(test.kind)
			u, p := n.visit(node, at, k, 1, rtmfp.AnswerIntroductions)
			var want keepalives
			want.node, want.peer = strategy.Keepalive(strategy.Typical(test.class))
			if p.keepalives != want {
				t.Errorf("told %v, want %v", p.keepalives, want)
			}
			node.SetRelayed(u.id.PeerID(), true)
			if want.peer = strategy.KeepaliveRelayed; p.keepalives != want {
				t.Errorf("relayed: told %v, want %v", p.keepalives, want)
			}
			node.SetRelayed(u.id.PeerID(), false)
			if _, want.peer = strategy.Keepalive(strategy.Typical(test.class)); p.keepalives != want {
				t.Errorf("no longer relayed: told %v, want %v", p.keepalives, want)
			}
		})
	}
}
