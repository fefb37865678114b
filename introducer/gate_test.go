package introducer

import (
	"net/netip"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
)

// decider answers questions when the test says so.
type decider struct {
	asked []Question
	done  []func(Verdict)
}

func (d *decider) ask(q Question, done func(Verdict)) {
	d.asked = append(d.asked, q)
	d.done = append(d.done, done)
}

func (n *network) asking(d *decider) (*Node, netip.AddrPort) {
	n.t.Helper()
	return n.askingOf(d, Config{})
}

func (n *network) askingOf(d *decider, c Config) (*Node, netip.AddrPort) {
	n.t.Helper()
	c.Ask = d.ask
	node := New(c)
	_, at := n.add("203.0.113.1:1935", rtmfp.Config{
		Identity: identity(n.t, flash.IdentityOptions{AcceptAncillary: true}), Handler: node,
	})
	return node, at
}

// A client waits for the verdict, and is taken or told why not.
func TestConnectIsAskedFor(t *testing.T) {
	for _, allow := range []bool{true, false} {
		n, d := newNetwork(t), &decider{}
		node, at := n.asking(d)
		u := n.user("198.51.100.1:5000").connect(at)
		n.wait(5 * time.Second)
		if len(d.asked) != 1 || d.asked[0].Kind != PeerConnected || d.asked[0].Peer.ID != u.id.PeerID() || d.asked[0].Connect.App != "app" {
			t.Fatalf("asked %+v", d.asked)
		}
		if u.connected || len(u.closed) > 0 || node.Stats().Peers != 0 {
			t.Fatal("it went on without a verdict")
		}
		d.done[0](Verdict{Allow: allow, Reason: "banned"})
		n.wait(time.Second)
		if u.connected != allow || (node.Stats().Peers == 1) != allow || node.Stats().Refused != map[bool]uint64{false: 1}[allow] {
			t.Errorf("allow %v: connected %v, %+v", allow, u.connected, node.Stats())
		}
		if !allow && (len(u.closed) != 1 || len(u.events) > 0) {
			t.Errorf("closed %v, events %v", u.closed, u.events)
		}
	}
}

// A verdict for a client that has gone meanwhile has no effect.
func TestVerdictTooLate(t *testing.T) {
	n, d := newNetwork(t), &decider{}
	node, at := n.asking(d)
	u := n.user("198.51.100.1:5000").connect(at)
	u.client.Close()
	n.wait(15 * time.Second)
	d.done[0](Verdict{Allow: true})
	n.wait(time.Second)
	if s := node.Stats(); s.Peers != 0 || s.Connected != 0 {
		t.Errorf("%+v", s)
	}
}

// One question for a pair, however often the initiator repeats itself; the
// verdict holds for a while; then it is asked for again.
func TestIntroductionIsAskedFor(t *testing.T) {
	for _, allow := range []bool{true, false} {
		n, d := newNetwork(t), &decider{}
		node, at := n.asking(d)
		a, b := n.user("198.51.100.1:5000").connect(at), n.user("198.51.100.2:5000").connect(at)
		for _, done := range d.done {
			done(Verdict{Allow: true})
		}
		n.wait(time.Second)
		d.asked, d.done = nil, nil
		s := a.seek(b.id, at)
		n.wait(8 * time.Second) // three repeats
		if len(d.asked) != 1 || d.asked[0].Peer.ID != a.id.PeerID() || d.asked[0].Target.ID != b.id.PeerID() {
			t.Fatalf("asked %+v", d.asked)
		}
		if node.Stats().Introduced != 0 {
			t.Fatal("introduced without a verdict")
		}
		d.done[0](Verdict{Allow: allow})
		n.wait(200 * time.Millisecond)
		if s.Open() != allow {
			t.Errorf("allow %v: open %v", allow, s.Open())
		}
		a.seek(b.id, at)
		if len(d.asked) != 1 {
			t.Error("the verdict was not kept")
		}
		n.wait(defaultVerdictLife)
		a.seek(b.id, at)
		if len(d.asked) < 2 {
			t.Error("an old verdict is not asked for again")
		}
	}
}

// Verdicts are bounded, and pairs that were pushed out still get theirs.
func TestGateIsBounded(t *testing.T) {
	g := newGate()
	for i := range maxVerdicts + 100 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		g.entry(gateKey{from: from}, from.Addr())
	}
	if g.cache.Len() != maxVerdicts {
		t.Errorf("%d of %d", g.cache.Len(), maxVerdicts)
	}
}

func TestDraining(t *testing.T) {
	n := newNetwork(t)
	var seen []EventKind
	node := New(Config{Observe: func(e Event) { seen = append(seen, e.Kind) }})
	_, at := n.add("203.0.113.1:1935", rtmfp.Config{
		Identity: identity(t, flash.IdentityOptions{AcceptAncillary: true}), Handler: node,
	})
	a, b := n.user("198.51.100.1:5000").connect(at), n.user("198.51.100.2:5000").connect(at)
	node.Drain(true)
	late := n.user("198.51.100.3:5000").connect(at)
	if late.connected || len(late.closed) != 1 {
		t.Error("a draining node took a client")
	}
	if !a.seek(b.id, at).Open() {
		t.Error("a draining node does not introduce those it has")
	}
	node.Drain(false)
	if !n.user("198.51.100.4:5000").connect(at).connected {
		t.Error("it takes nobody after the drain was called off")
	}
	a.client.Close()
	n.wait(15 * time.Second)
	want := []EventKind{PeerConnected, PeerConnected, PeersIntroduced, PeerConnected, PeerClosed}
	for i := range want {
		if i >= len(seen) || seen[i] != want[i] {
			t.Fatalf("events %v, want %v", seen, want)
		}
	}
}
