package splice

import (
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

// Whatever comes to a relay's ports, from whomever: nothing panics, every packet
// has one fate, and nothing goes to anybody but the two who are at home there.
func FuzzBinding(f *testing.F) {
	seed := newWorld(&testing.T{}, worldConfig{})
	b := newPeer(&testing.T{}, atB)
	for _, p := range [][]byte{
		seed.ihello(b, "tag"), seed.rhello(b, "tag", cookie), seed.iikeying(b, idA, cookie), seed.rikeying(idA, idB),
		seed.packet(wire.SessionID{}, wire.Redirect{Tag: []byte("tag")}), seed.packet(idA, wire.CookieChange{OldCookie: cookie, NewCookie: []byte("x")}),
		data(idA, 40), data(wire.SessionID{}, 60),
		{1, 2, 3},
	} {
		for where := range byte(4) {
			f.Add(where, p, false)
			f.Add(where, p, true)
		}
	}
	f.Fuzz(func(t *testing.T, where byte, packet []byte, sealed bool) {
		w, a, b := pairOf(t, worldConfig{})
		g := w.ask(request(a, b, "tag"))
		if sealed { // as a chunk, so that the mutation gets beyond the checksum
			packet = w.packet(wire.SessionID{}, raw(packet))
		}
		homes := map[bool]string{false: viaA, true: viaB}
		strike := func() {
			at := g.Initiator
			if where&1 != 0 {
				at = g.Target
			}
			from := addr("198.51.100.66:6666")
			if where&2 != 0 {
				from = addr(homes[where&1 != 0])
			}
			w.receive(from, at, where, packet)
		}
		strike()
		w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
		strike()
		w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
		strike()
		w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, cookie))
		strike()
		w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
		w.wait(time.Second)
		strike()
		for _, s := range w.took() {
			home := addr(viaA)
			if s.from == g.Target {
				home = addr(viaB)
			}
			// Who knows the tag may be bound in a peer's place before it is; a
			// stranger in the fuzzer's seeds does.
			if where&2 != 0 && s.to != home {
				t.Fatalf("sent to %v from %v", s.to, s.from)
			}
		}
		w.table.wholly(t)
	})
}
