package report

import (
	"fmt"
	"slices"
	"strings"
)

// Reach is which kinds of peers a host meets, by name, an introducer helping.
type Reach struct {
	Direct []string `json:"direct"`
	Relay  []string `json:"relay,omitempty"`
	Unsure []string `json:"unsure,omitempty"`
	Never  []string `json:"never,omitempty"`
}

func (r *Reach) of() int { return len(r.Direct) + len(r.Relay) + len(r.Unsure) + len(r.Never) }

// clause is the part of a verdict behind its colon.
func (r *Reach) clause() string {
	var parts []string
	if len(r.Direct) > 0 || len(r.Unsure) == 0 {
		parts = append(parts, fmt.Sprintf("direct to %d of %d kinds of peers", len(r.Direct), r.of()))
	}
	if len(r.Unsure) > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d cannot be told", len(r.Unsure), r.of()))
	}
	if len(r.Relay) > 0 {
		parts = append(parts, "relay needed for "+list(r.Relay))
	}
	if len(r.Never) > 0 {
		parts = append(parts, "cannot meet "+list(r.Never))
	}
	return strings.Join(parts, "; ")
}

// list joins names as in a sentence, each once, and without those that another one
// includes: "symmetric NATs" those "symmetric NATs with stepping ports".
func list(names []string) string {
	var once []string
	for _, n := range names {
		included := slices.ContainsFunc(names, func(other string) bool { return strings.HasPrefix(n, other+" ") })
		if !included && !slices.Contains(once, n) {
			once = append(once, n)
		}
	}
	switch len(once) {
	case 0:
		return ""
	case 1:
		return once[0]
	}
	last := len(once) - 1
	return strings.Join(once[:last], ", ") + " and " + once[last]
}
