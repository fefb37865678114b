package natprobe

import (
	"fmt"
	"slices"
)

// Disagreement is a question that servers answered differently, so that the
// consensus is unknown.
type Disagreement struct {
	Question string   `json:"question"`
	Answers  []string `json:"answers"` // one a server, in the order of the runs
}

// Consensus is what several servers say of one way. What one knows and others do
// not is believed; where they contradict each other, nothing is known.
func Consensus(all []Behavior) (Behavior, []Disagreement) {
	if len(all) == 0 {
		return Behavior{}, nil
	}
	c := consensus{all: all}
	b := all[0]
	b.Public = c.finding("public address", func(b Behavior) Finding { return b.Public })
	b.FirewallOnly = c.finding("firewall only", func(b Behavior) Finding { return b.FirewallOnly })
	b.Hairpin = c.finding("hairpin", func(b Behavior) Finding { return b.Hairpin })
	b.AnswersIntroductions = c.finding("answers introductions", func(b Behavior) Finding { return b.AnswersIntroductions })
	b.Pooling = c.pooling()
	b.Mapping, b.MappingBy = c.mapping()
	b.Filtering, b.FilteringBy = c.filtering()
	c.allocation(&b)
	b.BlockedRoutes = c.finding("blocked routes", func(b Behavior) Finding { return b.BlockedRoutes })
	return b, c.disagreements
}

type consensus struct {
	all           []Behavior
	disagreements []Disagreement
}

// differ notes that the answers contradict each other.
func (c *consensus) differ(question string, answer func(Behavior) string) {
	d := Disagreement{Question: question}
	for _, b := range c.all {
		d.Answers = append(d.Answers, answer(b))
	}
	c.disagreements = append(c.disagreements, d)
}

// merge adds the counts of the findings that have the answer a.
func (c *consensus) merge(a Answer, of func(Behavior) Finding) Finding {
	f := Finding{Answer: a}
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

func (c *consensus) finding(question string, of func(Behavior) Finding) Finding {
	var yes, no bool
	for _, b := range c.all {
		yes = yes || of(b).Answer == Yes
		no = no || of(b).Answer == No
	}
	switch {
	case yes && no:
		c.differ(question, func(b Behavior) string { return of(b).Answer.String() })
		return c.merge(Unknown, of)
	case yes:
		return c.merge(Yes, of)
	case no:
		return c.merge(No, of)
	}
	return c.merge(Unknown, of)
}

// pooling is seen by any server or by none: sockets may well have got one address
// while one server was asked and another later.
func (c *consensus) pooling() Finding {
	of := func(b Behavior) Finding { return b.Pooling }
	answers := make([]Answer, 0, len(c.all))
	for _, b := range c.all {
		answers = append(answers, b.Pooling.Answer)
	}
	for _, a := range []Answer{Yes, No} {
		if slices.Contains(answers, a) {
			return c.merge(a, of)
		}
	}
	return c.merge(Unknown, of)
}

// mapping narrows down what partial answers leave open.
func (c *consensus) mapping() (Mapping, Finding) {
	all := []Mapping{EIM, ADM, APDM}
	m, ok := narrow(c.all, all, func(b Behavior) Mapping { return b.Mapping }, map[Mapping][]Mapping{
		MappingUnknown: all, MappingNotEIM: {ADM, APDM}, MappingNotAPDM: {EIM, ADM},
	})
	of := func(b Behavior) Finding { return b.MappingBy }
	if !ok {
		c.differ("mapping", func(b Behavior) string { return b.Mapping.String() })
		return MappingUnknown, c.merge(Unknown, of)
	}
	if m == MappingUnknown {
		return m, c.merge(Unknown, of)
	}
	return m, c.merge(Yes, of)
}

func (c *consensus) filtering() (Filtering, Finding) {
	all := []Filtering{EIF, ADF, APDF}
	f, ok := narrow(c.all, all, func(b Behavior) Filtering { return b.Filtering }, map[Filtering][]Filtering{
		FilteringUnknown: all, FilteringNotEIF: {ADF, APDF}, FilteringNotAPDF: {EIF, ADF},
	})
	of := func(b Behavior) Finding { return b.FilteringBy }
	if !ok {
		c.differ("filtering", func(b Behavior) string { return b.Filtering.String() })
		return FilteringUnknown, c.merge(Unknown, of)
	}
	if f == FilteringUnknown {
		return f, c.merge(Unknown, of)
	}
	return f, c.merge(Yes, of)
}

// narrow returns what is left when every behaviour has excluded what it can; not
// ok if nothing is. partial says which exact values each other value stands for.
func narrow[T comparable](all []Behavior, exact []T, of func(Behavior) T, partial map[T][]T) (left T, ok bool) {
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
func (c *consensus) allocation(b *Behavior) {
	b.Allocation, b.Step, b.Jitter, b.Range = AllocationUnknown, 0, 0, [2]uint16{}
	of := func(b Behavior) Finding { return b.AllocationBy }
	answer := Unknown
	for _, one := range c.all {
		switch {
		case one.Allocation == AllocationUnknown || one.Allocation == b.Allocation && one.Step == b.Step:
			b.Jitter = max(b.Jitter, one.Jitter)
		case b.Allocation == AllocationUnknown:
			b.Allocation, b.Step, b.Jitter, b.Range = one.Allocation, one.Step, one.Jitter, one.Range
			answer = Yes
		default:
			c.differ("port allocation", func(b Behavior) string { return fmt.Sprintf("%v %+d", b.Allocation, b.Step) })
			b.Allocation, b.Step, b.Jitter, b.Range = AllocationUnknown, 0, 0, [2]uint16{}
			b.AllocationBy = c.merge(Unknown, of)
			return
		}
	}
	b.AllocationBy = c.merge(answer, of)
}
