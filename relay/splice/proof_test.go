package splice

import (
	"net/netip"
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

const victim = "198.51.100.99:53"

// shot is how many IP bytes went to an address, and the greatest share of that in what
// named it.
func (w *world) shot(to netip.AddrPort) (bytes int) {
	for _, s := range w.sent {
		if s.to.Addr() == to.Addr() {
			bytes += ipBytes(to, len(s.data))
		}
	}
	return bytes
}

// Two that conspire have a relay; one of them forges a victim's address, as caller or as
// called, in each packet by which the relay learns where a side is. The victim, who
// answers nothing, gets at most three times what named it, whatever the other sends.
func TestVictimIsNotShotAt(t *testing.T) {
	v := addr(victim)
	for _, c := range []struct {
		name  string
		named func(w *world, a, b peer, g Grant) (bytes int)
	}{
		{"a forged IHello, the RHello repeated", func(w *world, _, b peer, g Grant) int {
			hello := w.ihello(b, "tag")
			w.receive(v, g.Initiator, 0, hello)
			w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
			return ipBytes(v, len(hello))
		}},
		{"a forged IIKeying, then data", func(w *world, a, b peer, g Grant) int {
			w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
			w.receive(addr(viaB), g.Target, 0, w.rhello(b, "tag", cookie))
			keying := w.iikeying(a, idA, cookie)
			w.receive(v, g.Initiator, 0, keying)
			w.receive(addr(viaB), g.Target, 0, w.rikeying(idA, idB))
			first := data(idB, 60)
			w.receive(v, g.Initiator, 0, first)
			for range 1000 {
				w.receive(addr(viaB), g.Target, 0, data(idA, 1100))
			}
			return ipBytes(v, len(keying)) + ipBytes(v, len(first))
		}},
		{"a forged RHello and RIKeying, then data", func(w *world, a, b peer, g Grant) int {
			rhello, rikeying := w.rhello(b, "tag", cookie), w.rikeying(idA, idB)
			w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
			w.receive(v, g.Target, 0, rhello)
			w.receive(addr(viaA), g.Initiator, 0, w.iikeying(a, idA, cookie))
			w.receive(v, g.Target, 0, rikeying)
			for range 1000 {
				w.receive(addr(viaA), g.Initiator, 0, data(idB, 1100))
			}
			return ipBytes(v, len(rhello)) + ipBytes(v, len(rikeying))
		}},
		{"a forged Implied Redirect, the IHello repeated", func(w *world, _, b peer, g Grant) int {
			redirect := w.packet(wire.SessionID{}, wire.Redirect{Tag: []byte("tag")})
			w.receive(addr(viaA), g.Initiator, 0, w.ihello(b, "tag"))
			w.receive(v, g.Target, 0, redirect)
			return ipBytes(v, len(redirect))
		}},
	} {
		for _, beside := range []bool{false, true} {
			w, a, b := pairOf(t, worldConfig{})
			r := request(a, b, "tag")
			r.Beside = beside
			named := c.named(w, a, b, w.ask(r))
			w.wait(30 * time.Second)
			if got := w.shot(v); got == 0 || got > mostUnproven*named {
				t.Errorf("%s: %d bytes named the victim, and it got %d", c.name, named, got)
			}
			w.table.wholly(t)
			if len(w.table.proofs) > 0 && w.table.Stats().Splices == 0 {
				t.Errorf("%s: %d places are asked about for ever", c.name, len(w.table.proofs))
			}
		}
	}
}

// A peer whose NAT has several addresses answers what it is asked, on either side of a
// call, and pays a round trip.
func TestOtherAddressOfANATIsProven(t *testing.T) {
	const otherA, otherB = "203.0.113.101:41000", "203.0.113.102:42000"
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	answer := func(p peer, from string, at netip.AddrPort) {
		t.Helper()
		for _, s := range w.took() {
			if s.to != addr(from) {
				continue
			}
			packet, err := w.open.Open(nil, s.data)
			if err != nil {
				t.Fatal(err)
			}
			_, chunks, _ := wire.ParseHeader(packet)
			if typ, body, _, _ := wire.NextChunk(chunks); typ == wire.ChunkIHello {
				h, err := wire.ParseIHello(body)
				if err != nil || len(h.Tag) != 16 {
					t.Fatalf("%v, a tag of %d bytes", err, len(h.Tag))
				}
				w.receive(addr(from), at, 0, w.rhello(p, string(h.Tag), []byte("another")))
			}
		}
	}
	w.receive(addr(otherA), g.Initiator, 0, w.ihello(b, "tag"))
	answer(a, otherA, g.Initiator)
	w.receive(addr(otherB), g.Target, 0, w.rhello(b, "tag", cookie))
	w.receive(addr(otherA), g.Initiator, 0, w.iikeying(a, idA, cookie))
	answer(b, otherB, g.Target)
	w.receive(addr(otherB), g.Target, 0, w.rikeying(idA, idB))
	for range 100 {
		w.receive(addr(otherA), g.Initiator, 0, data(idB, 1100))
		w.receive(addr(otherB), g.Target, 0, data(idA, 1100))
	}
	if n := len(w.took()); n != 1+200 {
		t.Errorf("%d packets passed: %+v", n, w.table.Stats())
	}
	if s := w.table.Stats(); s.Proven != 2 || s.Asked != 2 || s.Drops[DropUnproven] != 0 || len(w.table.proofs) != 0 {
		t.Errorf("%+v, %d open", s, len(w.table.proofs))
	}
	w.table.wholly(t)
}

// Neither an answer under another certificate, nor one from elsewhere, proves anything.
func TestWhatProvesNothing(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	g := w.ask(request(a, b, "tag"))
	w.receive(addr(victim), g.Initiator, 0, w.ihello(b, "tag"))
	tag := w.table.splices[g.ID].sides[0].doubts
	if len(tag) == 0 {
		tag = w.table.splices[g.ID].sides[1].doubts
	}
	for _, c := range []struct {
		from string
		p    peer
		tag  string
	}{{victim, b, tag[0].tag}, {viaB, a, tag[0].tag}, {victim, a, "0123456789abcdef"}} {
		w.receive(addr(c.from), g.Initiator, 0, w.rhello(c.p, c.tag, cookie))
	}
	if s := w.table.Stats(); s.Proven != 0 {
		t.Errorf("%d proofs", s.Proven)
	}
}

// The places of one side are bounded, and its own address always counts.
func TestPlacesOfASideAreBounded(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	for i := range 20 {
		tag := string(rune('a' + i))
		g := w.ask(request(a, b, tag))
		w.receive(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 1), g.Initiator, 0, w.ihello(b, tag))
	}
	if len(w.table.proofs) > maxDoubts {
		t.Errorf("%d places", len(w.table.proofs))
	}
	if w.table.Stats().Drops[DropUnproven] == 0 {
		t.Error("nothing was dropped")
	}
	g := w.ask(request(a, b, "own"))
	w.took()
	w.join(a, b, "own", g, addr(viaA), addr(viaB), idA, idB)
}
