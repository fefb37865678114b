package flow

import (
	"slices"

	"pileus/rtmfp/wire"
)

// seqSet is a SEQUENCE_SET (section 3.6.3): 0 through cum, and runs above that
// ascend with gaps between them and before the first.
type seqSet struct {
	cum  uint64
	runs []wire.AckRange
}

func (s *seqSet) hasGaps() bool { return len(s.runs) > 0 }

func (s *seqSet) contains(seq uint64) bool {
	if seq <= s.cum {
		return true
	}
	i := s.search(seq)
	return i < len(s.runs) && s.runs[i].From <= seq
}

// search returns the first run that does not end before seq.
func (s *seqSet) search(seq uint64) int {
	i, _ := slices.BinarySearchFunc(s.runs, seq, func(r wire.AckRange, seq uint64) int { return compare(r.To, seq) })
	return i
}

// addThrough adds 0 through seq.
func (s *seqSet) addThrough(seq uint64) {
	if seq > s.cum {
		s.cum = seq
		s.absorb()
	}
}

// absorb moves the runs that cum has reached into it.
func (s *seqSet) absorb() {
	n := 0
	for n < len(s.runs) && s.runs[n].From <= s.cum+1 {
		s.cum = max(s.cum, s.runs[n].To)
		n++
	}
	if n == len(s.runs) {
		s.runs = nil
		return
	}
	s.runs = slices.Delete(s.runs, 0, n)
}

// add adds one sequence number. It reports false, and adds nothing, if the set has
// most runs and would need one more.
func (s *seqSet) add(seq uint64, most int) bool {
	if s.contains(seq) {
		return true
	}
	if seq == s.cum+1 {
		s.addThrough(seq)
		return true
	}
	i := s.search(seq)
	joinsLeft := i > 0 && s.runs[i-1].To+1 == seq
	joinsRight := i < len(s.runs) && s.runs[i].From == seq+1
	switch {
	case joinsLeft && joinsRight:
		s.runs[i-1].To = s.runs[i].To
		s.runs = slices.Delete(s.runs, i, i+1)
	case joinsLeft:
		s.runs[i-1].To = seq
	case joinsRight:
		s.runs[i].From = seq
	case len(s.runs) >= most:
		return false
	default:
		s.runs = slices.Insert(s.runs, i, wire.AckRange{From: seq, To: seq})
	}
	return true
}
