package share

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pileus/rtmfp/udp"
)

func TestQueueGoesRound(t *testing.T) {
	var q Queue[string]
	ask := func(name, addr string) { q.Add(netip.MustParseAddr(addr), name) }
	for i := range 5 {
		ask(fmt.Sprint("a", i), "2001:db8:1:100::1") // one /56,
	}
	for i := range 3 {
		ask(fmt.Sprint("b", i), fmt.Sprintf("2001:db8:1:%d00::1", 2+i)) // and more of its /48
	}
	ask("c", "2001:db8:2::1") // of its /32
	ask("d", "198.51.100.7")
	ask("e0", "203.0.113.1")
	ask("e1", "203.0.113.2")
	var done []string
	for w := q.Next(); w != nil; w = q.Next() {
		if done = append(done, w.Value); w.Value == "e0" && len(done) < 5 {
			q.Again(w)
		}
	}
	const want = "a0 d e0 b0 e0 b1 e1 b2 c a1 a2 a3 a4"
	if got := strings.Join(done, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(q.branches) != 0 || q.root.n != 0 || q.root.turns.Len() != 0 || q.Longest() != nil {
		t.Errorf("left: %+v", q)
	}
}

// Whoever has most gives way: one that asks for the first time always finds a place.
func TestLongestGivesWay(t *testing.T) {
	var q Queue[string]
	lost := map[string]int{}
	ask := func(name, addr string) {
		if q.Add(netip.MustParseAddr(addr), name); q.Len() > 4096 {
			w := q.Longest()
			lost[w.Value]++
			q.Remove(w)
		}
	}
	for i := range 3000 {
		ask("crowd", fmt.Sprintf("10.%d.%d.1", i%5, i%250))
	}
	for i := range 3000 {
		ask("flood", fmt.Sprintf("2001:db8:%x:%x00::1", i%7, i%256))
	}
	for i := range 100 {
		ask("one", fmt.Sprintf("172.%d.0.1", i))
	}
	if lost["one"] != 0 || lost["crowd"] != 0 || lost["flood"] != 2004 || q.Len() != 4096 {
		t.Errorf("lost %v, %d wait", lost, q.Len())
	}
}

// The queue hands out all that was not taken out, each once, counts right, and no prefix
// waits for longer than a turn of each other.
func TestQueueProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue[int]
		waiting := map[*Waiting[int]]bool{}
		pick := func() *Waiting[int] {
			var list []*Waiting[int]
			for w := range waiting {
				list = append(list, w)
			}
			if len(list) == 0 {
				return nil
			}
			return list[rapid.IntRange(0, len(list)-1).Draw(t, "which")]
		}
		for i := range rapid.IntRange(0, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				a := at(10, rapid.ByteRange(0, 3).Draw(t, "wide"), rapid.ByteRange(0, 3).Draw(t, "narrow"), 1)
				waiting[q.Add(a, i)] = true
			case 2:
				if w := pick(); w != nil {
					q.Remove(w)
					q.Remove(w)
					delete(waiting, w)
				}
			case 3:
				if w := q.Longest(); (w == nil) != (len(waiting) == 0) || w != nil && !waiting[w] {
					t.Fatalf("%v is longest of %d", w, len(waiting))
				}
			default:
				w := q.Next()
				if w == nil && len(waiting) > 0 || w != nil && !waiting[w] {
					t.Fatalf("%v handed out while %d wait", w, len(waiting))
				}
				if w != nil && rapid.Bool().Draw(t, "again") {
					q.Again(w)
				} else {
					delete(waiting, w)
				}
			}
		}
		wides := map[netip.Prefix]bool{}
		for w := range waiting {
			wides[udp.WidePrefix(w.addr)] = true
		}
		if q.Len() != len(waiting) || q.root.turns.Len() != len(wides) {
			t.Fatalf("%d of %d prefixes wait, want %d of %d", q.Len(), q.root.turns.Len(), len(waiting), len(wides))
		}
		served := map[netip.Prefix]bool{}
		for range len(wides) {
			a := q.Next().addr
			if served[udp.WidePrefix(a)] {
				t.Fatalf("%v had two turns before others had one", a)
			}
			served[udp.WidePrefix(a)] = true
		}
	})
}
