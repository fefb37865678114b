package report

import (
	"fmt"
	"slices"

	"pileus/natprobe"
)

// Disagreement is a question that servers answered differently, so that the
// consensus is unknown.
type Disagreement struct {
	Question string   `json:"question"`
	Answers  []string `json:"answers"` // one a server, in the order of the runs
}

// consensusOf is what several servers say of one way. What one knows and others do
// not is believed; where they contradict each other, nothing is known.
func consensusOf(all []natprobe.Behavior) (natprobe.Behavior, []Disagreement) {
	if len(all) == 0 {
		return natprobe.Behavior{}, nil
	}
	c := consensus{all: all}
	b := all[0]
	b.Public = c.finding("public address", func(b natprobe.Behavior) natprobe.Finding { return b.Public })
	b.FirewallOnly = c.finding("firewall only", func(b natprobe.Behavior) natprobe.Finding { return b.FirewallOnly })
	b.Hairpin = c.finding("hairpin", func(b natprobe.Behavior) natprobe.Finding { return b.Hairpin })
	b.AnswersIntroductions = c.finding("answers introductions", func(b natprobe.Behavior) natprobe.Finding { return b.AnswersIntroductions })
	b.Pooling = c.pooling()
	b.Mapping, b.MappingBy = c.mapping()
	b.Filtering, b.FilteringBy = c.filtering()
	c.allocation(&b)
	b.BlockedRoutes = c.finding("blocked routes", func(b natprobe.Behavior) natprobe.Finding { return b.BlockedRoutes })
	return b, c.disagreements
}

type consensus struct {
	all           []natprobe.Behavior
	disagreements []Disagreement
}

// differ notes that the answers contradict each other.
func (c *consensus) differ(question string, answer func(natprobe.Behavior) string) {
	d := Disagreement{Question: question}
	for _, b := range c.all {
		d.Answers = append(d.Answers, answer(b))
	}
	c.disagreements = append(c.disagreements, d)
}

// merge adds the counts of the findings that have the answer a.
func (c *consensus) merge(a natprobe.Answer, of func(natprobe.Behavior) natprobe.Finding) natprobe.Finding {
	f := natprobe.Finding{Answer: a}
	for _, b := range c.all {
		one := of(b)
		f.Hits += one.Hits
		f.Tries += one.Tries
		if one.At.After(f.At) {
			f.At = one.At
		}
	}
	return f
}

func (c *consensus) finding(question string, of func(natprobe.Behavior) natprobe.Finding) natprobe.Finding {
	var yes, no bool
	for _, b := range c.all {
		yes = yes || of(b).Answer == natprobe.Yes
		no = no || of(b).Answer == natprobe.No
	}
	switch {
	case yes && no:
		c.differ(question, func(b natprobe.Behavior) string { return of(b).Answer.String() })
		return c.merge(natprobe.Unknown, of)
	case yes:
		return c.merge(natprobe.Yes, of)
	case no:
		return c.merge(natprobe.No, of)
	}
	return c.merge(natprobe.Unknown, of)
}

// pooling is seen by any server or by none: sockets may well have got one address
// while one server was asked and another later.
func (c *consensus) pooling() natprobe.Finding {
	of := func(b natprobe.Behavior) natprobe.Finding { return b.Pooling }
	answers := make([]natprobe.Answer, 0, len(c.all))
	for _, b := range c.all {
		answers = append(answers, b.Pooling.Answer)
	}
	for _, a := range []natprobe.Answer{natprobe.Yes, natprobe.No} {
		if slices.Contains(answers, a) {
			return c.merge(a, of)
		}
	}
	return c.merge(natprobe.Unknown, of)
}

// mapping narrows down what partial answers leave open.
func (c *consensus) mapping() (natprobe.Mapping, natprobe.Finding) {
	all := []natprobe.Mapping{natprobe.EIM, natprobe.ADM, natprobe.APDM}
	m, ok := narrow(c.all, all, func(b natprobe.Behavior) natprobe.Mapping { return b.Mapping }, map[natprobe.Mapping][]natprobe.Mapping{
		natprobe.MappingUnknown: all, natprobe.MappingNotEIM: {natprobe.ADM, natprobe.APDM}, natprobe.MappingNotAPDM: {natprobe.EIM, natprobe.ADM},
	})
	of := func(b natprobe.Behavior) natprobe.Finding { return b.MappingBy }
	if !ok {
		c.differ("mapping", func(b natprobe.Behavior) string { return b.Mapping.String() })
		return natprobe.MappingUnknown, c.merge(natprobe.Unknown, of)
	}
	if m == natprobe.MappingUnknown {
		return m, c.merge(natprobe.Unknown, of)
	}
	return m, c.merge(natprobe.Yes, of)
}

func (c *consensus) filtering() (natprobe.Filtering, natprobe.Finding) {
	all := []natprobe.Filtering{natprobe.EIF, natprobe.ADF, natprobe.APDF}
	f, ok := narrow(c.all, all, func(b natprobe.Behavior) natprobe.Filtering { return b.Filtering }, map[natprobe.Filtering][]natprobe.Filtering{
		natprobe.FilteringUnknown: all, natprobe.FilteringNotEIF: {natprobe.ADF, natprobe.APDF}, natprobe.FilteringNotAPDF: {natprobe.EIF, natprobe.ADF},
	})
	of := func(b natprobe.Behavior) natprobe.Finding { return b.FilteringBy }
	if !ok {
		c.differ("filtering", func(b natprobe.Behavior) string { return b.Filtering.String() })
		return natprobe.FilteringUnknown, c.merge(natprobe.Unknown, of)
	}
	if f == natprobe.FilteringUnknown {
		return f, c.merge(natprobe.Unknown, of)
	}
	return f, c.merge(natprobe.Yes, of)
}

// narrow returns what is left when every behaviour has excluded what it can; not
// ok if nothing is. partial says which exact values each other value stands for.
func narrow[T comparable](all []natprobe.Behavior, exact []T, of func(natprobe.Behavior) T, partial map[T][]T) (left T, ok bool) {
	rest := slices.Clone(exact)
	for _, b := range all {
		stands, isPartial := partial[of(b)]
		if !isPartial {
			stands = []T{of(b)}
		}
		rest = slices.DeleteFunc(rest, func(v T) bool { return !slices.Contains(stands, v) })
	}
	if len(rest) == 1 {
		return rest[0], true
	}
	for value, stands := range partial {
		if slices.Equal(stands, rest) {
			return value, true
		}
	}
	return left, false // contradictory; no value stands for two at the ends
}

// allocation is that of the first server that saw one, if no other saw another.
func (c *consensus) allocation(b *natprobe.Behavior) {
	b.Allocation, b.Step, b.Jitter, b.Range = natprobe.AllocationUnknown, 0, 0, [2]uint16{}
	of := func(b natprobe.Behavior) natprobe.Finding { return b.AllocationBy }
	answer := natprobe.Unknown
	for _, one := range c.all {
		switch {
		case one.Allocation == natprobe.AllocationUnknown || one.Allocation == b.Allocation && one.Step == b.Step:
			b.Jitter = max(b.Jitter, one.Jitter)
		case b.Allocation == natprobe.AllocationUnknown:
			b.Allocation, b.Step, b.Jitter, b.Range = one.Allocation, one.Step, one.Jitter, one.Range
			answer = natprobe.Yes
		default:
			c.differ("port allocation", func(b natprobe.Behavior) string { return fmt.Sprintf("%v %+d", b.Allocation, b.Step) })
			b.Allocation, b.Step, b.Jitter, b.Range = natprobe.AllocationUnknown, 0, 0, [2]uint16{}
			b.AllocationBy = c.merge(natprobe.Unknown, of)
			return
		}
	}
	b.AllocationBy = c.merge(answer, of)
}
