package share

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"pileus/rtmfp/flow"
	"pileus/rtmfp/udp"
)

func at(a, b, c, d byte) netip.Addr { return netip.AddrFrom4([4]byte{a, b, c, d}) }

// fill has one holder after the other of a prefix take what it gets, up to each of them.
func fill(l *Ledger, holders, each int, addr func(i int) netip.Addr) (got int) {
	for i := range holders {
		h := new(Holder)
		for range each {
			if h.Take(l, addr(i), 0) == flow.Granted {
				got++
			}
		}
	}
	return got
}

// Half of all is there for whoever comes; of the rest a prefix has its share, and
// however many prefixes want all of it, there is something for the next.
func TestLedgerShares(t *testing.T) {
	l := NewLedger(1)
	l.Set(0, Limits{Total: 10_000, Peer: 1, Prefix: 10, Wide: 50})
	if n := fill(l, 1, 5001, func(int) netip.Addr { return at(10, 1, 0, 1) }); n != 5001 {
		t.Errorf("one holder has %d of what nobody else wants", n)
	}
	if n := fill(l, 1000, 10, func(i int) netip.Addr { return at(10, 1, 0, byte(i)) }); n != 0 {
		t.Errorf("its prefix has %d more", n)
	}
	// A share shrinks as it is taken.
	if n := fill(l, 1000, 10, func(i int) netip.Addr { return at(10, 2, 0, byte(i)) }); n < 700 || n > 750 {
		t.Errorf("another prefix has %d", n)
	}
	if n := fill(l, 1, 1000, func(i int) netip.Addr { return at(10, 3, 0, byte(i)) }); n < 65 || n > 75 {
		t.Errorf("another holder has %d", n)
	}
	// Fifty networks that take all they get leave some.
	for i := range 50 {
		fill(l, 1000, 1, func(int) netip.Addr { return at(10, byte(4+i), byte(i), 1) })
	}
	if left := 10_000 - l.Whole(0).Held(); left < 350 {
		t.Errorf("%d are left", left)
	}
	if n := fill(l, 10, 1, func(int) netip.Addr { return at(192, 0, 2, 1) }); n < 5 {
		t.Errorf("a newcomer's prefix has %d of 10", n)
	}
	if l.Refused(0, flow.OverShare) == 0 || l.Refused(0, flow.OverLimit) != 0 {
		t.Errorf("refused: %v", l.things[0].refused)
	}
	l.Set(0, Limits{})
	if n := fill(l, 10, 1000, func(int) netip.Addr { return at(10, 1, 0, 1) }); n != 10_000 {
		t.Errorf("%d of 10,000 without limits", n)
	}
}

// Neither one network of many prefixes takes what others need.
func TestLedgerSharesOfWidePrefixes(t *testing.T) {
	l := NewLedger(1)
	l.Set(0, Limits{Total: 10_000, Prefix: 10, Wide: 50})
	flood := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i), byte(i >> 8), 0, 15: 1})
	}
	n := fill(l, 20_000, 1, flood)
	if n < 5000 || n > 5100 {
		t.Errorf("a /32 has %d", n)
	}
	if n := fill(l, 1000, 1, func(i int) netip.Addr { return at(198, 51, 100, byte(i)) }); n < 700 {
		t.Errorf("a prefix beside has %d", n)
	}
}

// What is counted is what holders hold, where they are.
func TestLedgerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const things = 3
		l := NewLedger(things)
		total := rapid.Int64Range(0, 60).Draw(t, "total")
		for i := range things {
			l.Set(i, Limits{Total: total, Peer: 20, Prefix: 30, Wide: 60})
		}
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			return at(10, rapid.ByteRange(0, 2).Draw(t, "wide"), rapid.ByteRange(0, 2).Draw(t, "narrow"), 1)
		})
		type who struct {
			Holder
			addr netip.Addr
			n    [things]int
		}
		all := make([]who, 6)
		for i := range all {
			all[i].addr = addr.Draw(t, "addr")
		}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			w := &all[rapid.IntRange(0, len(all)-1).Draw(t, "who")]
			i := rapid.IntRange(0, things-1).Draw(t, "thing")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				w.addr = addr.Draw(t, "to")
				w.Move(w.addr)
			case 1:
				if w.n[i] > 0 {
					w.n[i]--
					w.Give(i)
				}
			default:
				half := l.Whole(i).Held()*2 <= total
				if r := w.Take(l, w.addr, i); r == flow.Granted {
					w.n[i]++
				} else if half {
					t.Fatalf("%d refused at %d of %d", r, l.Whole(i).Held(), total)
				}
			}
			var sums [things]int64
			places := map[netip.Prefix]bool{}
			for j := range all {
				for k, n := range all[j].n {
					sums[k] += int64(n)
					if n != all[j].Held(k) {
						t.Fatalf("holds %d of %d, and says %d", n, k, all[j].Held(k))
					}
					if n > 0 {
						places[udp.Prefix(all[j].addr)], places[udp.WidePrefix(all[j].addr)] = true, true
					}
				}
			}
			for k, n := range sums {
				if l.Whole(k).Held() != n || total > 0 && n > total {
					t.Fatalf("%d counted of %d, there are %d, at most %d", l.Whole(k).Held(), k, n, total)
				}
			}
			if l.Places() != len(places) {
				t.Fatalf("%d places, want %d", l.Places(), len(places))
			}
		}
	})
}

func BenchmarkHolder(b *testing.B) {
	l := NewLedger(5)
	l.Set(0, Limits{Total: 1000, Peer: 1, Prefix: 10, Wide: 50})
	var h Holder
	for b.Loop() {
		h.Take(l, at(10, 1, 2, 3), 0)
		h.Give(0)
	}
}

func ExampleLedger() {
	l := NewLedger(1)
	l.Set(0, Limits{Total: 4, Prefix: 25})
	school, other := new(Holder), new(Holder)
	for range 4 {
		fmt.Print(school.Take(l, at(198, 51, 100, 1), 0) == flow.Granted, " ")
	}
	fmt.Println(other.Take(l, at(203, 0, 113, 1), 0) == flow.Granted)
	// Output: true true true false true
}
