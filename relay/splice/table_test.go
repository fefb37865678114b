package splice

import (
	"bytes"
	"testing"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

const (
	atA, atB   = "203.0.113.1:5000", "203.0.113.2:6000"   // as their NetConnections show
	viaA, viaB = "203.0.113.1:41000", "203.0.113.2:42000" // as symmetric NATs show the relay
)

// crossing is pairOf, the one that prevails in glare first.
func crossing(t *testing.T) (w *world, a, b peer) {
	w, a, b = pairOf(t, worldConfig{})
	if flash.CompareGlare(a.cert, b.cert) > 0 {
		a.cert, b.cert = b.cert, a.cert
	}
	return w, a, b
}

func pairOf(t *testing.T, c worldConfig) (w *world, a, b peer) {
	return newWorld(t, c), newPeer(t, atA), newPeer(t, atB)
}

func TestStartup(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	if g.Initiator == g.Target {
		t.Fatalf("both sides are at %v", g.Initiator)
	}
	pA, pB := g.Initiator.String(), g.Target.String()

	w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
	w.expect("an IHello, its target not known")
	w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
	w.expect("RHello", pA+">"+viaA+" RHello")
	w.wait(100 * time.Millisecond)
	w.expect("too early for a repeat")
	w.wait(1900 * time.Millisecond)
	r := pA + ">" + viaA + " RHello"
	w.expect("four repeats", r, r, r, r)
	w.wait(2 * time.Second)
	w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
	w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", []byte("another cookie")))
	w.expect("no more than four, whatever comes")

	// The IIKeying's source may differ from the IHello's: its cookie is proof.
	const moved = "203.0.113.1:41001"
	w.receive(addr(moved), g.Initiator, 0, w.iikeying(a, idA, cookie))
	w.expect("IIKeying, from the reply address", pB+">"+viaB+" IIKeying")
	w.wait(300 * time.Millisecond)
	w.expect("repeated", pB+">"+viaB+" IIKeying")
	w.receive(addr(viaB), g.Target, 0, data(idA, 50))
	w.expect("the responder may speak at once", pA+">"+moved+" 03000000")
	w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	w.wait(3 * time.Second)
	w.expect("RIKeying, which only its sender repeats", pA+">"+moved+" RIKeying")
	w.receive(addr(moved), g.Initiator, 0, data(idB, 50))
	w.wait(3 * time.Second)
	w.expect("data, and no more repeats", pB+">"+viaB+" 04000000")

	w.receive(addr(moved), g.Initiator, 0, data(idB, 50))
	w.took()
	w.receive(addr(viaA), g.Initiator, 0, data(idB, 50))
	w.receive(addr(viaB), g.Target, 0, data(idB, 50))
	w.receive(addr(viaB), g.Initiator, 0, data(idA, 50))
	w.expect("wrong source, ID, port")
	if s := w.table.Stats(); s.Drops[DropSessionID] != 1 || s.Drops[DropStranger] != 2 {
		t.Errorf("drops %v", s.Drops)
	}
	w.table.wholly(t)
}

// wholly checks that every packet has had exactly one fate.
func (t *Table) wholly(tt *testing.T) {
	tt.Helper()
	s := t.Stats()
	sum := s.Forwarded + s.Kept + s.Queued + s.Proven
	for _, n := range s.Drops {
		sum += n
	}
	if sum != s.Received {
		tt.Errorf("%d received, %d have a fate: %+v", s.Received, sum, s)
	}
}

func TestEarlyRHelloIsKept(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
	w.wait(3 * time.Second)
	w.expect("nothing to a side that is not known")
	w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
	w.expect("the kept RHello", g.Initiator.String()+">"+viaA+" RHello")
}

func TestHold(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	r := request(a, b, "tag")
	r.Hold = 100 * time.Millisecond
	g := w.ask(r)
	w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
	w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
	w.wait(99 * time.Millisecond)
	w.expect("held back")
	w.wait(time.Millisecond)
	w.expect("then sent", g.Initiator.String()+">"+viaA+" RHello")
	w.wait(200 * time.Millisecond)
	w.expect("and repeated from then", g.Initiator.String()+">"+viaA+" RHello")
}

func TestImpliedRedirect(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	pB := g.Target.String()
	w.receive(addr(viaB), g.Target, 0, w.packet(wire.SessionID{}, wire.Redirect{Tag: []byte("tag")}))
	w.expect("no IHello yet")
	hello := w.ihello(b, "tag")
	w.receive(addr(viaA), g.Initiator, 0, hello)
	got := w.took()
	if len(got) != 1 || got[0].to != addr(viaB) || !bytes.Equal(got[0].data, hello) {
		t.Fatalf("sent %v, want the kept IHello", got)
	}
	w.wait(300 * time.Millisecond)
	w.expect("repeated", pB+">"+viaB+" IHello")
	w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
	w.expect("its RHello", g.Initiator.String()+">"+viaA+" RHello")
	w.wait(150 * time.Millisecond)
	w.expect("and no more of the IHello")
	elsewhere := wire.AppendRedirect(nil, []byte("tag"), []wire.Address{{AddrPort: addr("198.51.100.9:99")}})
	w.receive(addr(viaB), g.Target, 0, w.packet(wire.SessionID{}, raw(elsewhere)))
	w.expect("a Redirect elsewhere")
	if d := w.table.Stats().Drops; d[DropUnexpected] != 1 {
		t.Errorf("drops %v", d)
	}
}

type raw []byte

func (r raw) Append(b []byte) []byte { return append(b, r...) }

func TestCookieChange(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
	w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
	w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, cookie))
	fresh := []byte("fresh cookie")
	w.receive(addr(viaB), g.Target, 0, w.packet(idA, wire.CookieChange{OldCookie: cookie, NewCookie: fresh}))
	w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, fresh))
	pA, pB := g.Initiator.String(), g.Target.String()
	w.expect("passes through", pA+">"+viaA+" RHello", pB+">"+viaB+" IIKeying", pA+">"+viaA+" CookieChange", pB+">"+viaB+" IIKeying")
	w.receive(addr(viaB), g.Target, 0, w.packet(idA, wire.CookieChange{OldCookie: fresh, NewCookie: []byte("third")}))
	w.took()
	w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, []byte("third")))
	w.expect("once")
}

func TestBinding(t *testing.T) {
	const stranger = "203.0.113.66:666"
	type step func(w *world, a, b peer, g Grant)
	for name, c := range map[string]struct {
		before step
		packet func(w *world, a, b peer, g Grant) []byte
		from   string
		side   int // 0: the initiator's port
		want   DropReason
	}{
		"an IHello with another tag": {
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.ihello(b, "other") }, from: viaA, want: DropTag,
		},
		"an IHello at the target's port": {
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.ihello(b, "tag") }, from: viaA, side: 1, want: DropTag,
		},
		"an RHello at the initiator's port": {
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.rhello(b, "tag", cookie) }, from: viaB, want: DropTag,
		},
		"an RHello of another peer": {
			packet: func(w *world, a, _ peer, _ Grant) []byte { return w.rhello(a, "tag", cookie) }, from: viaB, side: 1, want: DropCertificate,
		},
		"an RHello without a certificate": {
			packet: func(w *world, _, _ peer, _ Grant) []byte {
				return w.packet(wire.SessionID{}, wire.RHello{Tag: []byte("tag"), Cookie: cookie})
			}, from: viaB, side: 1, want: DropCertificate,
		},
		"an RHello without a cookie": {
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.rhello(b, "tag", nil) }, from: viaB, side: 1, want: DropCookie,
		},
		"an RHello from loopback": {
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.rhello(b, "tag", cookie) }, from: "127.0.0.1:9", side: 1, want: DropAddress,
		},
		"an RHello from a private address": {
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.rhello(b, "tag", cookie) }, from: "10.0.0.1:9", side: 1, want: DropAddress,
		},
		"an IHello from the node's own address": {
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.ihello(b, "tag") }, from: "192.0.2.2:1935", want: DropAddress,
		},
		"an IIKeying before any RHello": {
			packet: func(w *world, a, _ peer, _ Grant) []byte { return w.iikeying(a, idA, cookie) }, from: viaA, want: DropCookie,
		},
		"an IIKeying before the RHello was sent": {
			before: func(w *world, _, b peer, g Grant) { w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie)) },
			packet: func(w *world, a, _ peer, _ Grant) []byte { return w.iikeying(a, idA, cookie) }, from: viaA, want: DropCookie,
		},
		"an IIKeying with another cookie": {
			before: offered,
			packet: func(w *world, a, _ peer, _ Grant) []byte { return w.iikeying(a, idA, []byte("x")) }, from: viaA, want: DropCookie,
		},
		"an IIKeying of another peer": {
			before: offered,
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.iikeying(b, idA, cookie) }, from: viaA, want: DropCertificate,
		},
		"an IIKeying without a session ID": {
			before: offered,
			packet: func(w *world, a, _ peer, _ Grant) []byte { return w.iikeying(a, wire.SessionID{}, cookie) }, from: viaA, want: DropMalformed,
		},
		"an IIKeying from a private address": {
			before: offered,
			packet: func(w *world, a, _ peer, _ Grant) []byte { return w.iikeying(a, idA, cookie) }, from: "192.168.0.1:5", want: DropAddress,
		},
		"a second IHello from elsewhere": {
			before: offered,
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.ihello(b, "tag") }, from: stranger, want: DropStranger,
		},
		"a second RHello from elsewhere": {
			before: offered,
			packet: func(w *world, _, b peer, _ Grant) []byte { return w.rhello(b, "tag", cookie) }, from: stranger, side: 1, want: DropStranger,
		},
		"data before an IIKeying": {
			before: offered,
			packet: func(*world, peer, peer, Grant) []byte { return data(idA, 60) }, from: viaB, side: 1, want: DropStranger,
		},
		"an RIKeying as a startup packet": {
			before: offered,
			packet: func(w *world, _, _ peer, _ Grant) []byte { return w.rikeying(wire.SessionID{}, idB) }, from: viaB, side: 1, want: DropUnexpected,
		},
		"noise with session ID 0": {
			before: offered,
			packet: func(*world, peer, peer, Grant) []byte { return data(wire.SessionID{}, 68) }, from: viaB, side: 1, want: DropMalformed,
		},
		"eleven bytes": {
			before: offered,
			packet: func(*world, peer, peer, Grant) []byte { return make([]byte, 11) }, from: viaB, side: 1, want: DropTruncated,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, b := pairOf(t, worldConfig{})
			g := w.ask(request(a, b, "tag"))
			if c.before != nil {
				c.before(w, a, b, g)
			}
			w.took()
			before := w.table.Stats().Drops
			at := g.Initiator
			if c.side == 1 {
				at = g.Target
			}
			w.receive(addr(c.from), at, 0, c.packet(w, a, b, g))
			w.expect("nothing")
			before[c.want]++
			if got := w.table.Stats().Drops; got != before {
				t.Errorf("drops %v, want one %v", got, c.want)
			}
			w.table.wholly(t)
			// The pair goes on undisturbed.
			if c.before == nil {
				w.join(a, b, "tag", g, addr(viaA), addr(viaB), idA, idB)
			}
		})
	}
}

// offered is a call whose RHello has gone out.
func offered(w *world, _, b peer, g Grant) {
	w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
	w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
}

// Both call at once: each side has one address for the other, so that they see
// the glare and end up with one session.
func TestGlare(t *testing.T) {
	w, a, b := crossing(t)
	g := w.ask(request(a, b, "one"))
	h := w.ask(request(b, a, "two"))
	if g.Initiator != h.Target || g.Target != h.Initiator || g.ID != h.ID {
		t.Fatalf("two ways: %v and %v", g, h)
	}
	pA, pB := g.Initiator, g.Target
	w.receive(addr(viaA), pA, 0, w.ihello(b, "one"))
	w.receive(addr(viaB), pB, 0, w.ihello(a, "two"))
	w.receive(addr(viaB), pB, 0, w.rhello(b, "one", []byte("of b")))
	w.receive(addr(viaA), pA, 0, w.rhello(a, "two", []byte("of a")))
	w.receive(addr(viaA), pA, 0, w.iikeying(a, idA, []byte("of b")))
	w.receive(addr(viaB), pB, 0, w.iikeying(b, idB, []byte("of a")))
	w.took()
	// a prevails: b answers, with another ID of its own.
	id := wire.SessionID{5, 0, 0, 0}
	w.receive(addr(viaB), pB, 0, w.rikeying(idA, id))
	w.receive(addr(viaA), pA, 0, data(id, 60))
	w.receive(addr(viaB), pB, 0, data(idA, 60))
	w.expect("one session", pA.String()+">"+viaA+" RIKeying", pB.String()+">"+viaB+" 05000000", pA.String()+">"+viaA+" 03000000")
	if s := w.table.Stats(); s.Splices != 1 {
		t.Errorf("%d splices", s.Splices)
	}
}

func TestECN(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	w.receive(addr(viaB), g.Target, 0xb8|2, w.rhello(b, "tag", cookie))
	w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
	w.receive(addr(viaA), g.Initiator, 2, w.iikeying(a, idA, cookie))
	w.receive(addr(viaB), g.Target, 2, w.rikeying(idA, idB))
	w.receive(addr(viaA), g.Initiator, 0xb8|2, data(idB, 60))
	w.receive(addr(viaA), g.Initiator, 3, data(idB, 60))
	w.receive(addr(viaA), g.Initiator, 0x10, data(idB, 60))
	var got []uint8
	for _, s := range w.took() {
		got = append(got, s.tos)
	}
	if want := []uint8{2, 2, 2, 2, 3, 0}; !bytes.Equal(got, want) {
		t.Errorf("TOS %v, want %v: ECN copied, DSCP cleared", got, want)
	}
}

// IPv4 on one side and IPv6 on the other.
func TestFamilies(t *testing.T) {
	w := newWorld(t, worldConfig{})
	a, b := newPeer(t, atA), newPeer(t, "[2001:db8:5::5]:6000")
	r := request(a, b, "tag")
	r.Target.Local = addr("[2001:db8::1]:1935")
	g := w.ask(r)
	if !g.Initiator.Addr().Is4() || !g.Target.Addr().Is6() {
		t.Fatalf("grant %v", g)
	}
	w.join(a, b, "tag", g, addr(viaA), addr("[2001:db8:5::5]:6001"), idA, idB)
}
