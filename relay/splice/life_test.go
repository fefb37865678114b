package splice

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// joined is a pair in session through the relay.
func joined(t *testing.T, c worldConfig) (w *world, a, b peer, g Grant) {
	w, a, b = pairOf(t, c)
	g = w.ask(request(a, b, "tag"))
	w.join(a, b, "tag", g, addr(viaA), addr(viaB), idA, idB)
	return w, a, b, g
}

func TestEnds(t *testing.T) {
	chat := func(w *world, g Grant, d time.Duration) {
		for ; d > 0; d -= time.Second {
			w.receive(addr(viaA), g.Initiator, 0, data(idB, 60))
			w.receive(addr(viaB), g.Target, 0, data(idA, 60))
			w.wait(time.Second)
		}
	}
	for name, c := range map[string]struct {
		config TableConfig
		do     func(w *world, a, b peer, g Grant)
		want   EndReason
		live   time.Duration // afterwards, 0: it has ended by now
	}{
		"a silent side": {do: func(w *world, _, _ peer, g Grant) {
			for range 59 {
				w.receive(addr(viaA), g.Initiator, 0, data(idB, 60))
				w.wait(time.Second)
			}
		}, want: EndIdle, live: time.Second},
		"idle of 30 s": {config: TableConfig{Idle: 30 * time.Second}, do: func(w *world, _, _ peer, g Grant) {
			chat(w, g, 100*time.Second)
			w.wait(28 * time.Second)
		}, want: EndIdle, live: time.Second},
		"the initiator's NetConnection": {do: func(w *world, a, _ peer, _ Grant) {
			w.table.Gone(w.now, a.cert.PeerID())
		}, want: EndGone, live: 2 * time.Second},
		"the target's NetConnection": {do: func(w *world, _, b peer, _ Grant) {
			w.table.Gone(w.now, b.cert.PeerID())
			w.wait(time.Second)
			w.table.Gone(w.now, b.cert.PeerID())
		}, want: EndGone, live: time.Second},
		"an order": {do: func(w *world, _, _ peer, g Grant) {
			if !w.table.End(w.now, g.ID) || w.table.End(w.now, g.ID) {
				w.t.Error("End")
			}
			w.flush()
		}, want: EndOrdered},
		"a lifetime": {config: TableConfig{MaxLifetime: time.Minute}, do: func(w *world, _, _ peer, g Grant) {
			chat(w, g, 59*time.Second)
		}, want: EndLifetime, live: time.Second},
		"a stop": {do: func(w *world, _, _ peer, _ Grant) { w.table.Stop(w.now); w.flush() }, want: EndStopped},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, b, g := joined(t, worldConfig{table: c.config})
			c.do(w, a, b, g)
			if c.live > 0 {
				w.wait(c.live - time.Millisecond)
				if len(w.ended) > 0 {
					t.Fatalf("ended early: %v", w.ended[0].Reason)
				}
				w.wait(time.Millisecond)
			}
			if len(w.ended) != 1 || w.ended[0].Reason != c.want {
				t.Fatalf("ended %+v, want %v", w.ended, c.want)
			}
			if e := w.ended[0]; e.Totals.Sent.Packets == 0 || e.Totals.Received.Packets == 0 || e.ID != g.ID {
				t.Errorf("account %+v", e)
			}
			w.nothingLeft()
			w.took()
			w.receive(addr(viaA), g.Initiator, 0, data(idB, 60))
			w.expect("forwarded afterwards")
		})
	}
}

// nothingLeft checks that the table is as empty as at first.
func (w *world) nothingLeft() {
	w.t.Helper()
	t := w.table
	if len(t.splices)+len(t.byPeer)+len(t.calls)+len(t.timers) != 0 || !t.Deadline().IsZero() {
		w.t.Errorf("left: %d splices, %d peers, %d calls, %d timers", len(t.splices), len(t.byPeer), len(t.calls), len(t.timers))
	}
	for i, s := range t.sockets {
		if len(s.sides)+len(s.bySource) != 0 {
			w.t.Errorf("left at %v: %d sides, %d sources", w.at[i], len(s.sides), len(s.bySource))
		}
	}
	if len(w.book.live) != 0 {
		w.t.Errorf("the book has %d live splices", len(w.book.live))
	}
	if u, _ := w.limits.Node(); u.Open[limit.Splice] != 0 {
		w.t.Errorf("the limits have %d open pairs", u.Open[limit.Splice])
	}
}

// A live one goes on through a drain; what is unbound ends after 15 s.
func TestUnboundAndDrain(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	offered(w, a, b, g)
	w.wait(14999 * time.Millisecond)
	if len(w.ended) != 0 {
		t.Fatal("ended early")
	}
	w.wait(time.Millisecond)
	if len(w.ended) != 1 || w.ended[0].Reason != EndUnbound {
		t.Fatalf("ended %+v", w.ended)
	}
	w.nothingLeft()

	h := w.ask(request(a, b, "again"))
	if h.Initiator != g.Initiator || h.Target != g.Target {
		t.Errorf("other ports than before: %v, %v", h, g)
	}
	w.took()
	w.join(a, b, "again", h, addr(viaA), addr(viaB), idA, idB)
	w.limits.Drain(true)
	c := newPeer(t, "203.0.113.3:7000")
	if _, err := w.try(request(a, c, "new")); !errors.Is(err, limit.ErrDraining) {
		t.Errorf("while draining: %v", err)
	}
	w.receive(addr(viaA), h.Initiator, 0, data(idB, 60))
	if len(w.took()) != 1 {
		t.Error("a live one was cut")
	}
	if r := w.book.Stats(w.now).Refused; r[RefusedDrain] != 1 {
		t.Errorf("refused %v", r)
	}
}

func TestRebind(t *testing.T) {
	const stranger = "198.51.100.66:41000"
	other := "203.0.113.1:43000" // of a's IP address
	for name, c := range map[string]struct {
		silent, since time.Duration // of the old source; since the last change, 0: never
		from          string
		id            wire.SessionID
		off, unsure   bool
		moved         string
		want          bool
	}{
		"after 2 s":               {silent: 2 * time.Second, from: other, id: idB, want: true},
		"sooner":                  {silent: 1999 * time.Millisecond, from: other, id: idB},
		"another IP address":      {silent: time.Minute / 2, from: stranger, id: idB},
		"the NetConnection's new": {silent: 3 * time.Second, from: stranger, id: idB, moved: stranger, want: true},
		"another session ID":      {silent: 3 * time.Second, from: other, id: wire.SessionID{9, 9, 9, 9}},
		"the own session ID":      {silent: 3 * time.Second, from: other, id: idA},
		"not allowed":             {silent: 3 * time.Second, from: other, id: idB, off: true},
		"10 s after the last":     {silent: 2 * time.Second, since: 10 * time.Second, from: other, id: idB, want: true},
		"sooner after the last":   {silent: 2 * time.Second, since: 9 * time.Second, from: other, id: idB},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, b := pairOf(t, worldConfig{})
			r := request(a, b, "tag")
			r.Rebind = !c.off
			g := w.ask(r)
			w.join(a, b, "tag", g, addr(viaA), addr(viaB), idA, idB)
			at := addr(viaA)
			if c.since > 0 {
				w.wait(3 * time.Second)
				at = addr("203.0.113.1:42999")
				w.receive(at, g.Initiator, 0, data(idB, 60))
				w.wait(c.since - c.silent)
				w.receive(at, g.Initiator, 0, data(idB, 60))
			}
			if c.moved != "" {
				w.table.Moved(a.cert.PeerID(), addr(c.moved))
			}
			w.wait(c.silent)
			w.took()
			w.receive(addr(c.from), g.Initiator, 0, data(c.id, 60))
			if got := len(w.took()) == 1; got != c.want {
				t.Fatalf("forwarded %v, want %v", got, c.want)
			}
			to := func() netip.AddrPort {
				w.receive(addr(viaB), g.Target, 0, data(idA, 60))
				return w.took()[0].to
			}
			if c.want {
				if got := to(); got != addr(c.from) {
					t.Errorf("answers go to %v", got)
				}
			}
			// The old source takes it back by speaking.
			w.receive(at, g.Initiator, 0, data(idB, 60))
			w.took()
			if got := to(); got != at {
				t.Errorf("answers go to %v, want the old %v", got, at)
			}
		})
	}
}

// A recorded packet, the right port and ID: a stranger gets and changes nothing.
func TestStranger(t *testing.T) {
	w, a, b, g := joined(t, worldConfig{})
	recorded := data(idB, 60)
	w.wait(20 * time.Second)
	for _, from := range []string{"198.51.100.66:41000", "203.0.113.2:42000", "[2001:db8:5::5]:6000"} {
		for _, packet := range [][]byte{recorded, data(idA, 60), w.ihello(b, "tag"), w.rhello(b, "tag", cookie), w.iikeying(a, idA, []byte("cookie of tag")), w.rikeying(idA, idB)} {
			w.receive(addr(from), g.Initiator, 0, packet)
			w.expect("for a stranger")
		}
	}
	w.receive(addr(viaA), g.Initiator, 0, recorded)
	w.expect("for the peer", g.Target.String()+">"+viaB+" 04000000")
	w.table.wholly(t)
}

func TestCallAgain(t *testing.T) {
	w, a, b, g := joined(t, worldConfig{})
	for i := range byte(40) {
		r := request(a, b, string([]byte{'t', i}))
		if i%2 == 1 {
			r = request(b, a, string([]byte{'t', i}))
		}
		if i%5 == 4 { // a long pause: the splice ends
			w.wait(3 * time.Minute)
		}
		w.took()
		h := w.ask(r)
		ida, idb := wire.SessionID{10 + i, 1}, wire.SessionID{10 + i, 2}
		if i%2 == 1 {
			if h.Initiator != g.Target || h.Target != g.Initiator {
				t.Fatalf("call %d: other ports", i)
			}
			w.join(b, a, string(r.Tag), h, addr(viaB), addr(viaA), idb, ida)
		} else {
			w.join(a, b, string(r.Tag), h, addr(viaA), addr(viaB), ida, idb)
		}
		w.wait(time.Second)
	}
	w.wait(time.Hour)
	w.nothingLeft()
	w.table.wholly(t)
}

func TestRefusals(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	private := newPeer(t, "10.0.0.7:9")
	loop := newPeer(t, "[::ffff:127.0.0.1]:9")
	unproven := request(private, b, "tag")
	unproven.Initiator.Peer = flash.PeerID{}
	for name, c := range map[string]struct {
		r    Request
		want error
	}{
		"itself":   {request(a, a, "tag"), ErrRequest},
		"no tag":   {request(a, b, ""), ErrRequest},
		"private":  {unproven, &AddressError{guard.Private}},
		"loopback": {request(loop, b, "tag"), &AddressError{guard.Loopback}},
		"own":      {request(newPeer(t, "192.0.2.2:20003"), b, "tag"), &AddressError{guard.Own}},
	} {
		_, err := w.try(c.r)
		if err == nil || err.Error() != c.want.Error() {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if len(w.book.pairs) != 0 {
		t.Error("a refused pair is remembered")
	}
	lab := newWorld(t, worldConfig{private: true})
	lab.ask(unproven)
	// Who has a session with the node is where it is, in whatever network.
	w.ask(request(a, private, "tag"))
	six := newWorld(t, worldConfig{})
	six.book = NewBook(BookConfig{Range: six.ranges[:8], Guard: six.book.cfg.Guard, Limits: six.limits})
	if _, err := six.try(request(a, newPeer(t, "[2001:db8:5::5]:6000"), "tag")); !errors.Is(err, ErrFamily) {
		t.Errorf("no IPv6: %v", err)
	}
}

// An initiator without a session: nothing is known of it, and nothing rebinds.
func TestAnonymous(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	r := request(a, b, "tag")
	r.Initiator.Peer, r.Rebind = [32]byte{}, false
	g := w.ask(r)
	w.join(a, b, "tag", g, addr(viaA), addr(viaB), idA, idB)
	other := newPeer(t, "203.0.113.9:9")
	r2 := request(other, b, "tag2")
	r2.Initiator.Peer = [32]byte{}
	if h := w.ask(r2); h.ID == g.ID || h.Target == g.Target {
		t.Error("two strangers share")
	}
	w.table.Gone(w.now, [32]byte{})
	w.wait(3 * time.Second)
	if len(w.ended) != 0 {
		t.Error("ended by a NetConnection that is none")
	}
}
