package natprobe

import (
	"net/netip"
	"slices"
)

const (
	// minAllocations is how many new mappings it takes to see a rule in their
	// ports; minRanged how many to call a small spread a block.
	minAllocations = 4
	minRanged      = 6

	// minCoarse is how many mappings a step of more than one takes: others behind the
	// NAT may take the ports between, as many each time. Where they take any number,
	// half of the gaps are even, so that 11 are once in 2,000 times; one flow of theirs
	// between any two of ours, at the rate that makes this likeliest, is rarer still.
	minCoarse = 12

	// maxStepGap is how far the ports of mappings made one after the other may be
	// apart for a step: other hosts behind the NAT take ports in between.
	maxStepGap = 32

	// minRandomGap, twice, takes a rule out of the question: once may be a counter
	// that wrapped.
	minRandomGap = 256

	// maxBlock is the width of a port block, as carriers assign them.
	maxBlock = 2048

	// minShuffled is how many mappings show by their order alone that there is no rule,
	// in a block as narrow as a step may be wide.
	minShuffled = 16
)

// allocate says how the NAT chose the ports of mappings whose making was seen.
func (e *evidence) allocate(b *Behavior) {
	if f := e.preserved(b.Mapping); f.Answer == Yes {
		b.Allocation, b.AllocationBy = Preserved, f
		return
	}
	made := e.made(b.Mapping)
	s := sum{tries: len(made), hits: len(made)}
	for _, o := range made {
		if o.At.After(s.at) {
			s.at = o.At
		}
	}
	b.AllocationBy = s.finding(Unknown)
	if len(made) < minAllocations || b.Pooling.Answer == Yes {
		return
	}
	b.Allocation, b.Step, b.Jitter = rule(made)
	if b.Allocation == Ranged {
		ports := sortedPorts(made)
		b.Range = [2]uint16{uint16(ports[0]), uint16(ports[len(ports)-1])}
	}
	if b.Allocation != AllocationUnknown {
		b.AllocationBy.Answer = Yes
	}
}

// made returns one observation of each mapping whose making was seen: those of
// other sockets, and towards other destinations where that makes one.
func (e *evidence) made(m Mapping) []Observation {
	from := e.sockets
	if m.Dependent() {
		from = slices.Concat(e.mappings, e.sockets)
	}
	known := map[netip.AddrPort]bool{e.seen: true}
	return those(from, func(o Observation) bool {
		if !answered(o) || known[o.Seen] {
			return false
		}
		known[o.Seen] = true
		return true
	})
}

// preserved counts the mappings that have the port of their socket.
func (e *evidence) preserved(m Mapping) Finding {
	var s sum
	count := func(hit bool) {
		s.tries++
		if hit {
			s.hits++
		}
	}
	if e.seen.IsValid() && len(e.reported) > 0 {
		count(slices.ContainsFunc(e.reported, func(r netip.AddrPort) bool { return r.Port() == e.seen.Port() }))
		s.at = e.observed
	}
	for _, o := range e.sockets {
		if answered(o) && o.Local.IsValid() {
			count(o.Local.Port() == o.Seen.Port())
			s.at = o.At
		}
	}
	if s.tries > 0 && s.hits == s.tries && !m.Dependent() {
		return s.finding(Yes)
	}
	return s.finding(Unknown)
}

// rule finds a rule in the ports of mappings that were made one after the other.
func rule(made []Observation) (a Allocation, step, jitter int) {
	ups, downs := order(made)
	sure := ups + downs + 1
	g := gapsOf(made)
	// A counter that wrapped turns once, and leaves one gap.
	shuffled := ups > 1 && downs > 1
	switch inOrder := ups == 0 || downs == 0; {
	case sure < minAllocations-1:
		if g.wide >= 2 && g.spread >= maxBlock {
			return Random, 0, 0
		}
	case inOrder && g.coarse() && len(made) < minCoarse:
	case inOrder && g.divisor > 0 && g.apart == 0:
		if ups == 0 {
			return Stepping, -g.divisor, g.largest - g.divisor
		}
		return Stepping, g.divisor, g.largest - g.divisor
	case inOrder:
	case g.spread >= maxBlock && g.wide >= 2:
		return Random, 0, 0
	case g.spread < maxBlock && len(made) >= minRanged && (g.apart > 1 || g.apart == 1 && shuffled || sure >= minShuffled && shuffled):
		return Ranged, 0, 0
	}
	return AllocationUnknown, 0, 0
}

// gaps are what lies between the ports of mappings, lowest to highest.
type gaps struct {
	divisor, largest, spread int
	apart, wide              int // how many are too large for a step, and large enough to be random
}

func gapsOf(made []Observation) (g gaps) {
	ports := sortedPorts(made)
	for i := 1; i < len(ports); i++ {
		gap := ports[i] - ports[i-1]
		g.divisor = greatestCommonDivisor(g.divisor, gap)
		g.largest = max(g.largest, gap)
		g.spread += gap
		if gap > maxStepGap {
			g.apart++
		}
		if gap >= minRandomGap {
			g.wide++
		}
	}
	return g
}

// coarse reports whether this looks like a step of more than one.
func (g gaps) coarse() bool { return g.divisor > 1 && g.apart == 0 }

// order counts how often the next port was higher, and lower, of mappings known to be
// made in this order: those whose first try was answered. A repeated try may have made
// its mapping at any of them.
func order(made []Observation) (ups, downs int) {
	first := those(made, func(o Observation) bool { return o.Tries == 1 })
	slices.SortStableFunc(first, func(a, b Observation) int { return a.Began().Compare(b.Began()) })
	for i := 1; i < len(first); i++ {
		if first[i].Seen.Port() > first[i-1].Seen.Port() {
			ups++
		} else {
			downs++
		}
	}
	return ups, downs
}

func sortedPorts(made []Observation) []int {
	ports := make([]int, 0, len(made))
	for _, o := range made {
		ports = append(ports, int(o.Seen.Port()))
	}
	slices.Sort(ports)
	return ports
}

func greatestCommonDivisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
