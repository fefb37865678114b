package group

import (
	"net/netip"
	"testing"
)

// Whatever members do, each step a kind and whose it is: nobody is told of himself, of
// one who is not there or dead, or of one who could not answer, and what the table says of
// itself is what there is.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 2, 3, 9, 1, 1, 3, 9, 1, 0, 1, 2})
	f.Add([]byte{0, 0x00, 0, 0x11, 0, 0x12, 2, 0x11, 3, 1, 0, 0x13, 2, 0x11, 3, 200, 1, 0x13})
	all := make([]byte, 0, 512)
	for i := range byte(128) {
		all = append(all, i%4, i*37)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, script []byte) {
		const groups, peers = 4, 16
		var table Table[*peer]
		var everybody [peers]*peer
		for i := range everybody {
			everybody[i] = &peer{id: i, restricted: i%5 == 4}
		}
		in := map[Key]map[*peer]bool{}
		check := func(k Key, tell []Telling[*peer]) {
			for _, x := range tell {
				switch {
				case x.To == x.Of || !in[k][x.To] || !in[k][x.Of]:
					t.Fatalf("%d is told of %d in %v", x.To.id, x.Of.id, k)
				case x.Of.restricted || x.Of.dead && x.To.dead:
					t.Fatalf("%+v is told of %+v", *x.To, *x.Of)
				}
			}
		}
		for len(script) >= 2 {
			kind, n := script[0], int(script[1])
			script = script[2:]
			p, k := everybody[n%peers], Key{"default", ID{byte(n / peers % groups)}}
			switch kind % 4 {
			case 0:
				if in[k] == nil {
					in[k] = map[*peer]bool{}
				}
				already := in[k][p]
				in[k][p] = true
				tell := table.Join(k, p, netip.AddrFrom4([4]byte{10, byte(n), 0, 1}))
				if already && len(tell) > 0 || len(tell) > 2*tellNewcomer {
					t.Fatalf("%d are told of one who joins, a member before: %v", len(tell), already)
				}
				check(k, tell)
			case 1:
				table.Leave(k, p)
				if delete(in[k], p); len(in[k]) == 0 {
					delete(in, k)
				}
			case 2:
				p.dead = !p.dead
			default:
				sum := 0
				for k, tell := range table.Heal(n) {
					check(k, tell)
					sum += len(tell)
				}
				if sum > n*tellHealing {
					t.Fatalf("%d are told while %d have their turn", sum, n)
				}
			}
			turns, seen := 0, 0
			for k, members := range in {
				if !table.Has(k) {
					t.Fatalf("%v is not there", k)
				}
				if len(members) > 1 {
					turns++
				}
			}
			for at, more := 0, true; more; more = at > 0 {
				at = table.Page(at, 3, func(k Key, members int) {
					if seen++; members != len(in[k]) {
						t.Fatalf("%v has %d members, want %d", k, members, len(in[k]))
					}
				})
			}
			if turns != table.turns.Len() || seen != len(in) || table.Empty() != (len(in) == 0) {
				t.Fatalf("%d turns, want %d; %d groups, want %d", table.turns.Len(), turns, seen, len(in))
			}
		}
	})
}
