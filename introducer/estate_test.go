package introducer

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// again is u's program, killed and started anew at the same port with the same
// certificate.
func (n *network) again(u *user) *user {
	n.Cut(u.engine)
	v := &user{net: n, id: u.id, mode: rtmfp.AnswerIntroductions}
	v.engine, v.addr = n.add(u.addr.String(), rtmfp.Config{
		Identity: v.id, Handler: v, SequentialIDs: true, Introductions: rtmfp.AnswerIntroductions,
	})
	return v
}

// forge sends IIKeyings as the client at victim does, with components of their own.
func forge(t *testing.T, n *network, node *rtmfp.Engine, at, victim netip.AddrPort, recorded wire.IIKeying, count int) {
	t.Helper()
	eve := identity(t, flash.IdentityOptions{})
	sealer, _ := flash.NewStartup()
	for i := range count {
		k, err := eve.BeginKeying(node.Identity().Certificate(), flash.Policy{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		recorded.SessionID = wire.SessionID{0xee, byte(i), 1, 1}
		recorded.Component = k.Component()
		b := recorded.Append(wire.Header{Mode: wire.ModeStartup}.Append(sealer.Begin(nil)))
		node.Receive(n.Now(), rtmfp.Datagram{Local: at, Peer: victim, Data: sealer.Finish(b, wire.SessionID{})})
	}
	n.wait(100 * time.Millisecond)
}

// record keeps the IIKeyings that are sent.
func (n *network) record(t *testing.T) map[netip.AddrPort]wire.IIKeying {
	t.Helper()
	seen := make(map[netip.AddrPort]wire.IIKeying)
	_, opener := flash.NewStartup()
	n.watch = func(from, _ netip.AddrPort, data []byte) {
		data = bytes.Clone(data)
		if id, ok := wire.Unscramble(data); !ok || id != (wire.SessionID{}) {
			return
		}
		packet, err := opener.Open(make([]byte, rtmfp.MaxReceive), data)
		if err != nil {
			return
		}
		if _, b, err := wire.ParseHeader(packet); err == nil {
			if typ, body, _, ok := wire.NextChunk(b); ok && typ == wire.ChunkIIKeying {
				if c, err := wire.ParseIIKeying(body); err == nil {
					seen[from] = c
				}
			}
		}
	}
	return seen
}

// A name stays its holder's whatever IIKeyings come from its address, and passes to
// the same peer's next session without a moment in which anybody else could have it.
func TestNamesPassWithTheProof(t *testing.T) {
	n := newNetwork(t)
	keyings := n.record(t)
	node, engine, at := n.node(Config{})
	alice := n.user("198.51.100.1:5000").connect(at)
	bob := n.user("203.0.113.1:6000").connect(at)
	carol := n.user("203.0.113.2:6000").connect(at)
	ids := map[string]string{alice.id.PeerID().String(): "alice", carol.id.PeerID().String(): "carol"}
	name := amf.String("alice")
	mustCall := func(u *user, call string, args ...amf.Value) {
		t.Helper()
		if _, code := u.call(call, args...); code != "" {
			t.Fatalf("%s: %q", call, code)
		}
	}
	mustCall(bob, "presence.watch", name)
	mustCall(bob, "watch", amf.String(alice.id.PeerID().String()))
	mustCall(alice, "presence.register", name)
	forge(t, n, engine, at, alice.addr, keyings[alice.addr], 20)
	if _, code := carol.call("presence.register", name); code != codeTaken {
		t.Errorf("carol takes a name that is held: %q", code)
	}
	if got := bob.heard(ids); got != "alice came alice" {
		t.Errorf("bob heard %q", got)
	}
	if r, code := alice.call("presence.lookup", name); code != "" {
		t.Errorf("alice asks: %q, %v", code, r)
	}

	alice = n.again(alice).connect(at)
	n.wait(time.Second) // its repeat, if the forged ones left it no place
	if !alice.connected || node.Stats().Peers != 3 || engine.Stats().Overridden != 1 {
		t.Fatalf("connected %v, %d peers, %+v", alice.connected, node.Stats().Peers, engine.Stats())
	}
	if _, code := carol.call("presence.register", name); code != codeTaken {
		t.Errorf("carol takes a name that is being passed on: %q", code)
	}
	mustCall(alice, "presence.register", name)
	n.wait(20 * time.Second)
	if got := bob.heard(ids); got != "alice changed alice" {
		t.Errorf("bob heard %q", got)
	}
	// Who watches the peer hears of its new session's end.
	alice.client.Close()
	n.wait(time.Second)
	gone := 0
	for _, c := range bob.commands {
		if c.Name == "onDisconnected" {
			gone++
		}
	}
	if gone != 1 {
		t.Errorf("bob heard %d times that alice has gone: %v", gone, bob.commands)
	}
	if st := node.Stats(); st.Names != 0 || node.ledger.Whole(int(SharedEstates)).Held() != 0 {
		t.Errorf("%d names and %d estates are left", st.Names, node.ledger.Whole(int(SharedEstates)).Held())
	}
}

// What nobody comes back for goes.
func TestEstateGoes(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	alice := n.user("198.51.100.1:5000").connect(at)
	bob := n.user("203.0.113.1:6000").connect(at)
	if _, code := alice.call("presence.register", amf.String("alice")); code != "" {
		t.Fatal(code)
	}
	alice = n.again(alice).connect(at)
	n.Cut(alice.engine)
	n.wait(estateLife + time.Second)
	if st := node.Stats(); st.Names != 0 {
		t.Errorf("%d names are held for a session that is over", st.Names)
	}
	if _, code := bob.call("presence.register", amf.String("alice")); code != "" {
		t.Errorf("a name that is free: %q", code)
	}
}
