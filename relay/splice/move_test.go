package splice

import (
	"testing"
	"time"
)

// blocked says that a party reaches but one address of the node.
func blocked(p Party, at string) Party {
	p.At = append(p.At, addr(at))
	return p
}

// An introduction decided anew, with other relay ports, moves: what was there of it is
// used, and packets to where it was lead nowhere.
func TestCallMoves(t *testing.T) {
	for _, beside := range []bool{false, true} {
		w, a, b := pairOf(t, worldConfig{})
		r := request(a, b, "tag")
		r.Beside = beside
		before := w.ask(r)
		w.receive(addr(viaA), before.Initiator, 0, w.ihello(b, "tag"))
		w.took()

		r.Beside = false
		r.Target = blocked(r.Target, main2)
		after := w.ask(r)
		if after.Target != addr(main2) || after.Initiator == addr(main2) {
			t.Fatalf("moved to %v", after)
		}
		if after.Initiator != before.Initiator {
			w.receive(addr(viaA), after.Initiator, 0, w.ihello(b, "tag"))
		}
		w.receive(addr(viaB), before.Target, 0, w.rhello(b, "tag", cookie))
		w.expect("an RHello to the old port")
		w.receive(addr(viaB), after.Target, 0, w.rhello(b, "tag", cookie))
		w.expect("to the new one", after.Initiator.String()+">"+viaA+" RHello")
		w.receive(addr(viaA), after.Initiator, 0, w.iikeying(a, idA, cookie))
		w.receive(addr(viaB), after.Target, 0, w.rikeying(idA, idB))
		w.expect("keyings", after.Target.String()+">"+viaB+" IIKeying", after.Initiator.String()+">"+viaA+" RIKeying")
		w.wait(time.Minute / 2)
		if s, k := w.table.Stats(), w.book.Stats(w.now); s.Splices != 1 || k.Reserved != 0 {
			t.Errorf("beside %v: %d splices, %d reserved", beside, s.Splices, k.Reserved)
		}
		w.table.wholly(t)
	}
}

// And back, to any port, as a reservation.
func TestCallMovesToAReservation(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	r := request(a, b, "tag")
	r.Target = blocked(r.Target, main2)
	before := w.ask(r)
	w.receive(addr(viaA), before.Initiator, 0, w.ihello(b, "tag"))
	r.Target.At, r.Beside = nil, true
	after := w.ask(r)
	w.receive(addr(viaB), after.Target, 0, w.rhello(b, "tag", cookie))
	if after.Initiator != before.Initiator {
		w.receive(addr(viaA), after.Initiator, 0, w.ihello(b, "tag"))
	}
	w.expect("RHello", after.Initiator.String()+">"+viaA+" RHello")
	w.receive(addr(viaA), after.Initiator, 0, w.iikeying(a, idA, cookie))
	w.expect("IIKeying", after.Target.String()+">"+viaB+" IIKeying")
}

// A call whose IIKeying has gone through stays where it is.
func TestKeyedCallStays(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	r := request(a, b, "tag")
	before := w.ask(r)
	w.keyed(a, b, "tag", before, viaA, viaB)
	r.Target = blocked(r.Target, main2)
	w.ask(r)
	w.receive(addr(viaB), before.Target, 0, w.rikeying(idA, idB))
	w.expect("the RIKeying still passes", before.Initiator.String()+">"+viaA+" RIKeying")
	if w.table.Stats().Moved != 0 {
		t.Error("it was moved")
	}
}
