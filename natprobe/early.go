package natprobe

import (
	"slices"
	"time"
)

// Pending is what a round of probes may tell soon: see [Planner.Pending].
type Pending uint8

const (
	PendingReach      Pending = 1 << iota // whether packets reach more than the main port
	PendingFilter                         // who gets in
	PendingAllocation                     // which port is next, if it changes at all

	// PendingAll is a round that has yet to begin.
	PendingAll = PendingReach | PendingFilter | PendingAllocation
)

// Early returns what is known so far for [Early]: as Observations, but of a silent
// probe only the tries whose answers would be there by now.
func (p *Planner) Early(now time.Time) []Observation {
	return p.observations(func(q *probe) int { return p.over(q, now) })
}

// Pending returns what answers, or silence that counts early, may tell soon: within
// some round trips, unless packets are lost. Zero: nothing, it is told.
func (p *Planner) Pending(now time.Time) Pending {
	if p.finished {
		return 0
	}
	open := func(q *probe) bool { return q.Hits == 0 && !q.finished && p.over(q, now) < EarlyTries }
	var pending Pending
	filters := p.of(KindFilter)
	if slices.ContainsFunc(filters, open) || len(filters) > 0 && p.filterControl.Hits == 0 && !p.filterControl.finished {
		pending |= PendingFilter
	}
	mappings := p.of(KindMapping)
	if own := slices.DeleteFunc(slices.Clone(mappings), func(q *probe) bool { return q.Node.Addr() != p.c.Main.Addr() }); len(own) > 0 && p.routed {
		mappings = own // those of other addresses are asked later
	}
	answered, differs, undecided := 0, false, slices.ContainsFunc(mappings, open)
	for _, q := range mappings {
		if q.Hits > 0 {
			answered++
			differs = differs || q.Seen != p.c.Observed
		}
	}
	switch {
	case len(mappings) == 0:
	case answered == 0 && (undecided || p.deaf || p.mappingControl.Hits == 0):
		pending |= PendingReach | PendingAllocation
	case differs && undecided:
		pending |= PendingAllocation
	}
	return pending
}
