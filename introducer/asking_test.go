package introducer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp/amf"
)

// Who has many clients ask to be let in has others wait for one turn, and its share.
func TestQuestionsGoRound(t *testing.T) {
	n, d := newNetwork(t), &decider{}
	limits := DefaultLimits()
	limits.Questions = 400
	node, at := n.askingOf(d, Config{Limits: &limits})
	for i := range 500 {
		n.user(fmt.Sprintf("198.51.100.%d:%d", 1+i%250, 2000+i)).dial(at, "app")
	}
	n.wait(time.Second)
	if s := node.Stats().Shared[SharedQuestions]; len(d.asked) != maxAsked || s.Held != 201 || s.OverShare != 299 {
		t.Errorf("%d asked, %d wait, %d refused", len(d.asked), s.Held, s.OverShare)
	}
	honest := n.user("203.0.113.1:6000").connect(at)
	for i := range 2 {
		d.done[i](Verdict{Allow: true})
		n.wait(10 * time.Millisecond)
	}
	asked := 0
	for i, q := range d.asked {
		if q.Peer.ID == honest.id.PeerID() {
			asked++
			d.done[i](Verdict{Allow: true})
		}
	}
	if n.wait(time.Second); asked != 1 || !honest.connected {
		t.Errorf("asked %d times after two others, connected %v", asked, honest.connected)
	}
	// What is put is answered, though the rules are taken away, and nothing is left.
	for i := 2; i < len(d.done); i++ {
		if d.asked[i].Peer.ID != honest.id.PeerID() {
			d.done[i](Verdict{Allow: true})
		}
	}
	n.wait(time.Second)
	if s := node.Stats(); s.Shared[SharedQuestions].Held != 0 || s.Peers != 202 {
		t.Errorf("%d questions left, %d peers", s.Shared[SharedQuestions].Held, s.Peers)
	}
}

// A core that answers at once, or is not there any more, is put all of a long line.
func TestQuestionsAnsweredAtOnce(t *testing.T) {
	n, d := newNetwork(t), &decider{}
	node, at := n.askingOf(d, Config{})
	for i := range 300 {
		n.user(fmt.Sprintf("198.51.100.%d:%d", 1+i%250, 2000+i)).dial(at, "app")
	}
	n.wait(time.Second)
	node.cfg.Ask = func(_ Question, done func(Verdict)) { done(Verdict{Allow: true}) }
	d.done[0](Verdict{Allow: true})
	n.wait(time.Second)
	if s := node.Stats(); s.Peers != 300-(maxAsked-1) || s.Shared[SharedQuestions].Held != maxAsked-1 {
		t.Errorf("%d peers, %d questions left", s.Peers, s.Shared[SharedQuestions].Held)
	}
	node.cfg.Ask = nil
	for _, done := range d.done[1:maxAsked] {
		done(Verdict{Allow: true})
	}
	n.wait(time.Second)
	if s := node.Stats(); s.Peers != 300 {
		t.Errorf("%d peers when all are answered", s.Peers)
	}
}

// A connect that references make large, or that has more than anybody needs, is refused
// before anybody is asked about it.
func TestOutsizedConnect(t *testing.T) {
	for name, c := range map[string]struct {
		app  string
		args []byte
		want bool
	}{
		"as usual":          {"app", amf.Append(nil, amf.String("token"), amf.Object{{Name: "a", Value: amf.Number(1)}}), true},
		"long":              {"app", amf.Append(nil, amf.String(strings.Repeat("x", 20_000))), true},
		"a long path":       {strings.Repeat("x", 1025), nil, false},
		"references":        {"app", references(1, 600, 95), false},
		"very many values":  {"app", amf.Append(nil, make(amf.Array, 2000)), false},
		"many, and allowed": {"app", amf.Append(nil, make(amf.Array, 1000)), true},
	} {
		n, d := newNetwork(t), &decider{}
		_, at := n.asking(d)
		b := n.bareOf(at, "198.51.100.1:5000", c.app, c.args)
		if got := len(d.asked) == 1; got != c.want {
			t.Errorf("%s: asked %v", name, got)
		}
		if refused := len(b.got) > 0 && b.got[0].Name == "_error"; refused == c.want {
			t.Errorf("%s: told %v", name, b.got)
		}
	}
}

// Limits of 0 are none.
func TestWithoutLimits(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{Limits: &Limits{}})
	a, b := n.user("198.51.100.1:5000").connect(at), n.user("198.51.100.2:5000").connect(at)
	p, r := node.peers[a.id.PeerID()], node.realm(DefaultTenant)
	other := amf.Args{amf.String(b.id.PeerID().String())}
	for i := range 3000 {
		q := &Peer{session: p.session, conn: p.conn, tenant: DefaultTenant}
		if _, err := r.register(q, fmt.Sprint("name ", i), nil); err != nil {
			t.Fatal(err)
		}
		if err := r.watch(q, "name 0"); err != nil {
			t.Fatal(err)
		}
		if _, err := node.rpcWatchPeer(q, call{other, 100}); err != nil {
			t.Fatal(err)
		}
	}
	text := amf.String(strings.Repeat("x", 50_000))
	for range 100 {
		if _, err := node.rpcRelay(p, call{append(other[:1:1], text), 50_000}); err != nil {
			t.Fatal(err)
		}
		n.wait(100 * time.Millisecond)
	}
	if len(b.commands) != 100 {
		t.Errorf("%d messages arrived", len(b.commands))
	}
	if !node.allowStranger(n.Now(), a.addr.Addr()) {
		t.Error("strangers are limited")
	}
	for range 10_000 {
		if p.sought.rate.Take(n.Now(), b.addr, 1, node.targetRate()) != 0 {
			t.Fatal("questions for one peer are limited")
		}
	}
}
