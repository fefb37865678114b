package splice

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pileus/relay/limit"
	"pileus/rtmfp/flash"
)

func beside(a, b peer, tag string) Request {
	r := request(a, b, tag)
	r.Beside = true
	return r
}

// holds fails unless so many ports are in use, pairs reserved, and splices live.
func (w *world) holds(what string, ports, reserved, splices int) {
	w.t.Helper()
	s := w.book.Stats(w.now)
	if live := w.table.Stats().Splices; s.InUse != ports || s.Reserved != reserved || live != splices {
		w.t.Errorf("%s: %d ports in use, %d pairs reserved, %d splices; want %d, %d, %d", what, s.InUse, s.Reserved, live, ports, reserved, splices)
	}
}

// What is reserved holds nothing until an IIKeying comes, and is a splice then.
func TestReserved(t *testing.T) {
	w := newWorld(t, worldConfig{})
	a, b := newPeer(t, "198.51.100.1:5000"), newPeer(t, "203.0.113.1:6000")
	g := w.ask(beside(a, b, "tag"))
	w.holds("reserved", 0, 1, 0)

	w.receive(a.addr, g.Initiator, 0, w.ihello(b, "tag"))
	w.receive(b.addr, g.Target, 0, w.rhello(b, "tag", cookie))
	w.expect("hellos", fmt.Sprintf("%v>%v RHello", g.Initiator, a.addr))
	w.holds("hellos came", 0, 1, 0)

	// Asked again, and the other way round, it is the same.
	for _, again := range []Grant{w.ask(beside(a, b, "tag")), w.ask(beside(a, b, "another"))} {
		if again != g {
			t.Errorf("again %+v, not %+v", again, g)
		}
	}
	if back := w.ask(beside(b, a, "back")); back != (Grant{g.ID, g.Target, g.Initiator}) {
		t.Errorf("back %+v, not %+v turned", back, g)
	}
	w.holds("asked again", 0, 1, 0)

	w.receive(a.addr, g.Initiator, 0, w.iikeying(a, idA, cookie))
	w.holds("IIKeying", 2, 0, 1)
	w.receive(b.addr, g.Target, 0, w.rikeying(idA, idB))
	w.receive(a.addr, g.Initiator, 0, data(idB, 100))
	if got := w.took(); len(got) != 3 {
		t.Errorf("a startup made %d packets more, want 3", len(got))
	}
	want := Began{g.ID, [2]flash.PeerID{a.cert.PeerID(), b.cert.PeerID()}, [2]netip.AddrPort{a.addr, b.addr}}
	if began := w.table.TakeBegan(); len(began) != 1 || began[0] != want {
		t.Errorf("began %+v", began)
	}

	// Calls that were reserved too belong to it.
	w.receive(b.addr, g.Target, 0, w.ihello(a, "back"))
	w.receive(a.addr, g.Initiator, 0, w.rhello(a, "back", []byte("another cookie")))
	w.expect("the other way", fmt.Sprintf("%v>%v RHello", g.Target, b.addr))
	if again := w.ask(beside(a, b, "later")); again != g {
		t.Errorf("while it is live: %+v, not %+v", again, g)
	}
	w.holds("all the time", 2, 0, 1)
}

func TestReservationsAreForgotten(t *testing.T) {
	w := newWorld(t, worldConfig{})
	a, b := newPeer(t, "198.51.100.1:5000"), newPeer(t, "203.0.113.1:6000")
	g := w.ask(beside(a, b, "tag"))
	w.wait(unboundFor / 2)
	w.ask(beside(a, b, "tag"))
	w.wait(unboundFor - time.Millisecond)
	w.receive(b.addr, g.Target, 0, w.rhello(b, "tag", cookie)) // as long again
	w.holds("in time", 0, 1, 0)
	w.wait(unboundFor)
	w.holds("late", 0, 0, 0)
	w.receive(a.addr, g.Initiator, 0, w.ihello(b, "tag"))
	if s := w.table.Stats(); s.Drops[DropIdlePort] != 1 || s.Ends[EndUnbound] != 1 || len(w.ended) != 0 {
		t.Errorf("drops %v, ends %v, told of %v", s.Drops, s.Ends, w.ended)
	}

	for i := range maxReserved + 10 {
		r := beside(a, b, fmt.Sprint(i))
		r.Target.Peer = flash.PeerID{1, byte(i), byte(i >> 8)}
		w.ask(r)
	}
	m := &w.book.reserved
	if len(m.byPair) > maxReserved || len(m.byTag) > 2*maxReserved || len(m.queue) > maxReserved {
		t.Errorf("%d pairs, %d tags, %d queued", len(m.byPair), len(m.byTag), len(m.queue))
	}
	w.wait(unboundFor)
	w.holds("a crowd later", 0, 0, 0)
	if len(m.byTag) != 0 || len(m.queue) != 0 {
		t.Errorf("%d tags and %d queued are left", len(m.byTag), len(m.queue))
	}
}

// Where a range is short, ports are named to several pairs. Who comes first has
// them; who would be a second far end to the same endpoint is refused.
func TestReservedPortsAreTakenByTheFirst(t *testing.T) {
	w := newWorld(t, worldConfig{ports: 2})
	// The lesser ID is given the first port, so a has it in both of its pairs.
	p := byID(newPeer(t, "198.51.100.1:5000"), newPeer(t, "203.0.113.1:6000"), newPeer(t, "203.0.113.2:6000"), newPeer(t, "198.51.100.4:5000"))
	a, b, c, d := p[0], p[1], p[2], p[3]
	first, second, third := w.ask(beside(a, b, "first")), w.ask(beside(a, c, "second")), w.ask(beside(d, c, "third"))
	w.join(a, b, "first", first, a.addr, b.addr, idA, idB)
	w.join(d, c, "third", third, d.addr, c.addr, idA, idB)
	w.receive(a.addr, second.Initiator, 0, w.ihello(c, "second"))
	w.receive(c.addr, second.Target, 0, w.rhello(c, "second", cookie))
	w.took()
	w.receive(a.addr, second.Initiator, 0, w.iikeying(a, idA, cookie))
	if s := w.table.Stats(); s.Splices != 2 || s.Drops[DropRefused] != 1 {
		t.Errorf("%d splices, drops %v", s.Splices, s.Drops)
	}
	if got := w.took(); len(got) != 0 {
		t.Errorf("sent %v", got)
	}
	if n := w.book.Stats(w.now).Refused[RefusedPorts]; n != 1 {
		t.Errorf("%d refused", n)
	}
}

// Where each endpoint has one far end at each port, even a short range is shared by
// all.
func TestReservedPortsAreShared(t *testing.T) {
	w := newWorld(t, worldConfig{ports: 2})
	p := byID(newPeer(t, "198.51.100.1:5000"), newPeer(t, "203.0.113.1:6000"), newPeer(t, "203.0.113.2:6000"), newPeer(t, "198.51.100.4:5000"))
	b, a, c, d := p[0], p[1], p[2], p[3] // a has the second port, then the first; c too
	first, second, third := w.ask(beside(a, b, "first")), w.ask(beside(a, c, "second")), w.ask(beside(d, c, "third"))
	w.join(a, b, "first", first, a.addr, b.addr, idA, idB)
	w.join(d, c, "third", third, d.addr, c.addr, idA, idB)
	w.join(a, c, "second", second, a.addr, c.addr, idA, idB)
	w.holds("all", 2, 0, 3)
}

func TestReservedQuota(t *testing.T) {
	var limits limit.Config
	limits.Quotas[limit.Splice] = limit.Quota{Peer: 1}
	w := newWorld(t, worldConfig{limits: limits})
	a, b, c := newPeer(t, "198.51.100.1:5000"), newPeer(t, "203.0.113.1:6000"), newPeer(t, "203.0.113.2:6000")
	first, second := w.ask(beside(a, b, "first")), w.ask(beside(a, c, "second"))
	w.join(a, b, "first", first, a.addr, b.addr, idA, idB)
	w.receive(a.addr, second.Initiator, 0, w.ihello(c, "second"))
	w.receive(c.addr, second.Target, 0, w.rhello(c, "second", cookie))
	w.receive(a.addr, second.Initiator, 0, w.iikeying(a, idA, cookie))
	if s := w.table.Stats(); s.Splices != 1 || s.Drops[DropRefused] != 1 {
		t.Errorf("%d splices, drops %v", s.Splices, s.Drops)
	}
	var quota *limit.QuotaError
	if _, err := w.try(beside(a, newPeer(t, "203.0.113.3:6000"), "third")); !errors.As(err, &quota) {
		t.Errorf("a reservation above the quota: %v", err)
	}
}

// Who failed beside gets the relay alone, where it was named before.
func TestReservedThenOrdered(t *testing.T) {
	w := newWorld(t, worldConfig{})
	a, b := newPeer(t, "198.51.100.1:5000"), newPeer(t, "203.0.113.1:6000")
	g := w.ask(beside(a, b, "tag"))
	w.receive(b.addr, g.Target, 0, w.rhello(b, "tag", cookie))
	if again := w.ask(request(a, b, "again")); again != g {
		t.Errorf("ordered %+v, not %+v", again, g)
	}
	w.holds("ordered", 2, 0, 1)
	w.join(a, b, "again", g, a.addr, b.addr, idA, idB)
}
