package group

import (
	"bytes"
	"crypto/sha256"
	"net/netip"
	"testing"
)

type peer struct {
	id               int
	dead, restricted bool
}

func (p *peer) Alive() bool      { return !p.dead }
func (p *peer) Restricted() bool { return p.restricted }

var somewhere = netip.MustParseAddr("198.51.100.1")

// know records who is told of whom.
func know(t *testing.T, into map[[2]int]bool, tell []Telling[*peer]) {
	t.Helper()
	for _, x := range tell {
		if x.To == x.Of {
			t.Fatal("told of itself")
		}
		if x.Of.dead {
			t.Fatal("told of a dead one")
		}
		if x.Of.restricted {
			t.Fatal("told of one that has to begin itself")
		}
		into[[2]int{x.To.id, x.Of.id}] = true
	}
}

// reached counts those that can be got to from the first, over sessions that
// either end opened.
func reached(n int, knows map[[2]int]bool) int {
	seen, queue := map[int]bool{0: true}, []int{0}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for o := range n {
			if !seen[o] && (knows[[2]int{at, o}] || knows[[2]int{o, at}]) {
				seen[o] = true
				queue = append(queue, o)
			}
		}
	}
	return len(seen)
}

func TestMeshHolds(t *testing.T) {
	var table Table[*peer]
	k := Key{"default", ID{1}}
	const n = 300
	knows, members := map[[2]int]bool{}, []*peer{}
	for i := range n {
		p := &peer{id: i, restricted: i%10 == 9}
		members = append(members, p)
		tell := table.Join(k, p, somewhere)
		of := 0
		for _, x := range tell {
			if x.To == p {
				of++
			}
		}
		if of > tellNewcomer || len(tell) > 2*tellNewcomer {
			t.Fatalf("member %d: told of %d, %d in all", i, of, len(tell))
		}
		know(t, knows, tell)
	}
	if got := reached(n, knows); got != n {
		t.Errorf("%d of %d hang together", got, n)
	}
	// Two halves that know nothing of each other find together.
	knows = map[[2]int]bool{}
	for range 2 {
		for key, tell := range table.Heal(n + 2) {
			if key != k {
				t.Fatal("another group")
			}
			know(t, knows, tell)
		}
	}
	if got := reached(n, knows); got != n {
		t.Errorf("healing joins %d of %d", got, n)
	}
	for _, p := range members {
		p.dead = p.id%2 == 0
	}
	tell := table.Join(k, &peer{id: n}, somewhere)
	know(t, knows, tell)
	for _, p := range members {
		table.Leave(k, p)
		table.Leave(k, p)
	}
	if table.groups[k] == nil || len(table.groups[k].list) != 1 {
		t.Error("the last one is gone")
	}
	table.Heal(100)
	if table.turns.Len() != 0 {
		t.Errorf("%d turns for a group of one", table.turns.Len())
	}
}

func TestTwoRestrictedAreNotTold(t *testing.T) {
	var table Table[*peer]
	k := Key{}
	a, b, c := &peer{id: 1, restricted: true}, &peer{id: 2, restricted: true}, &peer{id: 3}
	table.Join(k, a, somewhere)
	if tell := table.Join(k, b, somewhere); len(tell) > 0 {
		t.Errorf("%v", tell)
	}
	tell := table.Join(k, c, somewhere)
	if len(tell) != 2 || tell[0].Of != c || tell[1].Of != c {
		t.Errorf("only the restricted ones can begin: %v", tell)
	}
}

func TestParseJoin(t *testing.T) {
	id := sha256.Sum256([]byte("spec"))
	good := append([]byte{1, 33, 0x15}, id[:]...)
	for _, text := range [][]byte{good, append(bytes.Clone(good), 9), append([]byte{1, 5, 0x10}, "spec"...)} {
		if got, err := ParseJoin(text); err != nil || got != id {
			t.Errorf("%x: %x, %v", text, got, err)
		}
	}
	for _, text := range [][]byte{nil, {1}, {1, 0}, {1, 1, 0x15}, good[:20], {2, 33}, {1, 5, 0x15, 1, 2, 3, 4}, {1, 5, 0x11, 1, 2, 3, 4}} {
		if _, err := ParseJoin(text); err == nil {
			t.Errorf("%x is a join", text)
		}
	}
}

// Groups that come and go leave nothing behind, however fast they do.
func TestTurnsEnd(t *testing.T) {
	var table Table[*peer]
	a, b := &peer{id: 1}, &peer{id: 2}
	for i := range 10_000 {
		k := Key{"default", ID{byte(i), byte(i >> 8)}}
		table.Join(k, a, somewhere)
		table.Join(k, b, somewhere)
		if i%2 == 0 {
			table.Leave(k, a)
			table.Leave(k, b)
			table.Join(k, a, somewhere)
			table.Join(k, b, somewhere)
		}
		table.Leave(k, b)
		table.Leave(k, a)
	}
	if table.turns.Len() != 0 || !table.Empty() {
		t.Errorf("%d turns, empty %v", table.turns.Len(), table.Empty())
	}
}

// However many groups somebody makes, and however large, the members of another have
// their turn soon.
func TestHealingGoesRound(t *testing.T) {
	var table Table[*peer]
	elsewhere := netip.MustParseAddr("203.0.113.1")
	for i := range 2000 {
		k := Key{"default", ID{1, byte(i), byte(i >> 8)}}
		table.Join(k, &peer{id: 2 * i}, somewhere)
		table.Join(k, &peer{id: 2*i + 1}, somewhere)
	}
	large := Key{"default", ID{2}}
	for i := range 5000 {
		table.Join(large, &peer{id: i}, somewhere)
	}
	k := Key{"default", ID{3}}
	for i := range 20 {
		table.Join(k, &peer{id: i}, elsewhere)
	}
	told := 0
	for range 2 {
		told += len(table.Heal(64)[k])
	}
	if told < 40 {
		t.Errorf("told of %d in two rounds of healing", told)
	}
}

func FuzzParseJoin(f *testing.F) {
	f.Add(append([]byte{1, 5, 0x10}, "spec"...))
	f.Add([]byte{1, 33, 0x15})
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = ParseJoin(b) })
}
