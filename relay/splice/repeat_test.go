package splice

import (
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

// keyed brings a call of a to where its IIKeying has gone to b.
func (w *world) keyed(a, b peer, tag string, g Grant, fromA, fromB string) {
	w.t.Helper()
	w.receive(addr(fromA), g.Initiator, 0, w.ihello(b, tag))
	w.receive(addr(fromB), g.Target, 0, w.rhello(b, tag, []byte("cookie of "+tag)))
	w.receive(addr(fromA), g.Initiator, 0, w.iikeying(a, idA, []byte("cookie of "+tag)))
	w.took()
}

// A target that slept answers the IIKeying and every repeat of it within a
// millisecond. Two RIKeyings in one turn of the initiator spoil its keys: one passes.
func TestOneRIKeyingForOneQuestion(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	w.keyed(a, b, "tag", g, viaA, viaB)
	w.wait(1200 * time.Millisecond)
	repeat := g.Target.String() + ">" + viaB + " IIKeying"
	w.expect("the IIKeying is repeated", repeat, repeat, repeat)
	for range 4 {
		w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	}
	one := g.Initiator.String() + ">" + viaA + " RIKeying"
	w.expect("one passes", one)

	// An IIKeying that crossed with the RIKeying on the way does not ask for another.
	w.wait(80 * time.Millisecond)
	w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, []byte("cookie of tag")))
	w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	w.expect("that IIKeying, no RIKeying", g.Target.String()+">"+viaB+" IIKeying")

	// One that comes later was sent by who never got it.
	w.wait(200 * time.Millisecond)
	w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, []byte("cookie of tag")))
	w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	w.expect("the IIKeying and one RIKeying more", g.Target.String()+">"+viaB+" IIKeying", one)

	// Another session of the target is another answer.
	w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, wire.SessionID{9, 9, 9, 9}))
	w.expect("a new one", one)
	w.table.wholly(t)
}

// The round trip of the initiator is what an IIKeying has to be later by.
func TestRIKeyingOfAFarInitiator(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
	w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
	w.wait(190 * time.Millisecond)
	w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, cookie))
	w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	w.took()
	w.wait(150 * time.Millisecond)
	w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, cookie))
	w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	w.expect("sent before the RIKeying could be there", g.Target.String()+">"+viaB+" IIKeying")
	w.wait(50 * time.Millisecond)
	w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, cookie))
	w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	w.expect("sent after", g.Target.String()+">"+viaB+" IIKeying", g.Initiator.String()+">"+viaA+" RIKeying")
}

// Whoever yields in a crossing wants nothing more of its own call, and the winner
// takes a repeat of it for a new session in place of the one that works. So nothing of
// either call is repeated once both have called, nor when the other call has ended.
func TestCrossedCallsAreNotRepeated(t *testing.T) {
	for _, reserved := range []bool{false, true} {
		w, a, b := pairOf(t, worldConfig{})
		first, second := request(a, b, "of a"), request(b, a, "of b")
		first.Beside, second.Beside = reserved, reserved
		g := w.ask(first)
		w.keyed(a, b, "of a", g, viaA, viaB)
		w.wait(100 * time.Millisecond)
		back := w.ask(second)
		if back.Initiator != g.Target || back.Target != g.Initiator {
			t.Fatalf("reserved %v: crossing calls have ports %v and %v", reserved, g, back)
		}
		w.receive(addr(viaB), back.Initiator, 0, w.ihello(a, "of b"))
		w.receive(addr(viaA), back.Target, 0, w.rhello(a, "of b", []byte("cookie of of b")))
		w.expect("the RHello of the second", g.Target.String()+">"+viaB+" RHello")
		w.wait(3 * time.Second)
		for _, s := range w.took() {
			if name := w.name(s.data); name != "RHello" {
				t.Errorf("reserved %v: %s repeated after %v", reserved, name, s.at)
			}
		}
		// The second call becomes the session, and ends as a call; the first is left.
		w.receive(addr(viaB), back.Initiator, 0, w.iikeying(b, idB, []byte("cookie of of b")))
		w.receive(addr(viaA), back.Target, 0, w.rikeying(idB, idA))
		w.receive(addr(viaB), back.Initiator, 0, data(idA, 100))
		w.took()
		w.wait(5 * time.Second)
		w.expect("nothing is repeated")
	}
}

// Of two calls that cross, the IIKeying of the one that prevails passes, whichever comes
// first; the other's only if nothing comes of that.
func TestOneIIKeyingOfCrossingCalls(t *testing.T) {
	for _, prevailingFirst := range []bool{true, false} {
		w, a, b := crossing(t)
		g := w.ask(request(a, b, "of a"))
		w.ask(request(b, a, "of b"))
		w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "of a"))
		w.receive(addr(viaB), g.Target, 0, w.rhello(b, "of a", []byte("cookie a")))
		w.receive(addr(viaB), g.Target, 0, w.ihello(a, "of b"))
		w.receive(addr(viaA), g.Initiator, 0, w.rhello(a, "of b", []byte("cookie b")))
		w.took()
		ofA := func() { w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, []byte("cookie a"))) }
		ofB := func() { w.receive(addr(viaB), g.Target, 0, w.iikeying(b, idB, []byte("cookie b"))) }
		toB := g.Target.String() + ">" + viaB + " IIKeying"
		if prevailingFirst {
			ofA()
			ofB()
			w.expect("a's", toB)
		} else {
			ofB()
			w.expect("b's is withheld")
			ofA()
			w.expect("a's", toB)
		}
		w.wait(time.Second)
		ofB()
		w.expect("b's never, nor again")
		w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
		w.expect("b yields", g.Initiator.String()+">"+viaA+" RIKeying")
		if n := w.table.Stats().Drops[DropGlare]; n != 2 {
			t.Errorf("%d dropped", n)
		}
		w.table.wholly(t)

		// a asked, but comes to nothing.
		w, a, b = crossing(t)
		g = w.ask(request(b, a, "of b"))
		w.ask(request(a, b, "of a"))
		w.receive(addr(viaB), g.Initiator, 0, w.ihello(a, "of b"))
		w.receive(addr(viaA), g.Target, 0, w.rhello(a, "of b", []byte("cookie b")))
		w.took()
		again := func() { w.receive(addr(viaB), g.Initiator, 0, w.iikeying(b, idB, []byte("cookie b"))) }
		again()
		w.wait(time.Second)
		w.expect("withheld")
		again()
		w.expect("the second passes", g.Target.String()+">"+viaA+" IIKeying")
	}
}

// One that nobody crosses is repeated until its RIKeying has come.
func TestIIKeyingIsRepeated(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	w.keyed(a, b, "tag", g, viaA, viaB)
	w.wait(10 * time.Second)
	repeat := g.Target.String() + ">" + viaB + " IIKeying"
	w.expect("four times", repeat, repeat, repeat, repeat)
}

// An initiator that asks again has missed its answer. Its IIKeying, too, is repeated until
// another has come: else what it takes to have that is a way there and back without loss.
func TestIIKeyingIsRepeatedForWhoMissedTheAnswer(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	w.keyed(a, b, "tag", g, viaA, viaB)
	repeat, one := g.Target.String()+">"+viaB+" IIKeying", g.Initiator.String()+">"+viaA+" RIKeying"
	w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	w.expect("the answer", one)
	w.wait(time.Second)
	w.expect("it may have come")
	w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, []byte("cookie of tag")))
	w.expect("it has not", repeat)
	w.wait(500 * time.Millisecond)
	w.expect("again, after 200 and 400 ms", repeat, repeat)
	for range 3 {
		w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
	}
	w.expect("one answer", one)
	w.wait(3 * time.Second)
	w.expect("and no more questions")
	w.table.wholly(t)
}
