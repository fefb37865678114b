package flow

import (
	"testing"

	"pgregory.net/rapid"
)

// TestSeqSet compares a seqSet with a plain set.
func TestSeqSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(0, 8).Draw(t, "most")
		var s seqSet
		plain := map[uint64]bool{0: true}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			seq := rapid.Uint64Range(1, 40).Draw(t, "seq")
			if rapid.IntRange(0, 9).Draw(t, "through") == 0 {
				s.addThrough(seq)
				for i := range seq + 1 {
					plain[i] = true
				}
			} else if s.add(seq, most) {
				plain[seq] = true
			} else if plain[seq] || plain[seq-1] || plain[seq+1] || len(s.runs) < most {
				t.Fatalf("refused %d", seq)
			}
			check(t, &s, plain, most)
		}
	})
}

func check(t *rapid.T, s *seqSet, plain map[uint64]bool, most int) {
	top := s.cum
	for i, r := range s.runs {
		if r.From > r.To || r.From <= top+1 {
			t.Fatalf("run %d is %v behind %d", i, r, top)
		}
		top = r.To
	}
	if len(s.runs) > most {
		t.Fatalf("%d runs", len(s.runs))
	}
	highest := uint64(0)
	for seq := range uint64(50) {
		if s.contains(seq) != plain[seq] {
			t.Fatalf("contains(%d) = %v in %+v", seq, s.contains(seq), s)
		}
		if plain[seq] {
			highest = seq
		}
	}
	if s.hasGaps() != (highest > s.cum) {
		t.Fatalf("hasGaps() = %v in %+v", s.hasGaps(), s)
	}
}
