package matrix

import (
	"fmt"
	"io"

	"pileus/natprobe"
	"pileus/natprobe/lab"
)

// Classes is what a node took the clients of one kind of site for.
type Classes struct {
	Site    string         `json:"site"`
	Right   natprobe.Class `json:"right"`
	Tries   int            `json:"tries"`
	Counts  map[string]int `json:"counts"`            // by class; "" where the node said nothing in time
	Details map[string]int `json:"details,omitempty"` // by mapping, filtering and allocation
	Packets int            `json:"packets"`           // of probes, the most for one client
}

// wrong is how many were taken for what they are not.
func (c *Classes) wrong() int {
	n := c.Tries
	for _, name := range []string{c.Right.String(), natprobe.ClassUnknown.String(), ""} {
		n -= c.Counts[name]
	}
	return n
}

// ClassReport is the outcome of [Classify].
type ClassReport struct {
	Sites []Classes `json:"sites"`
}

// Wrong is how many clients were taken for what they are not. Unknown is not
// wrong.
func (r *ClassReport) Wrong() int {
	n := 0
	for i := range r.Sites {
		n += r.Sites[i].wrong()
	}
	return n
}

// WriteTable writes a row for each site.
func (r *ClassReport) WriteTable(w io.Writer) {
	fmt.Fprintf(w, "%-6s %-22s %7s %8s %7s %6s %9s\n", "", "is", "right", "unknown", "silence", "wrong", "packets")
	for i := range r.Sites {
		c := &r.Sites[i]
		fmt.Fprintf(w, "%-6s %-22s %7d %8d %7d %6d %9d\n", c.Site, c.Right, c.Counts[c.Right.String()],
			c.Counts[natprobe.ClassUnknown.String()], c.Counts[""], c.wrong(), c.Packets)
		for _, class := range sortedKeys(c.Counts) {
			if class != "" && class != c.Right.String() && class != natprobe.ClassUnknown.String() {
				fmt.Fprintf(w, "       WRONG: %d x %s\n", c.Counts[class], class)
			}
		}
	}
	fmt.Fprintln(w, "\nmapping, filtering, allocation:")
	for _, c := range r.Sites {
		for _, d := range sortedKeys(c.Details) {
			fmt.Fprintf(w, "%-6s %4d x %s\n", c.Site, c.Details[d], d)
		}
	}
}

// rightClass is what a client at a site is; deaf ones answer no introductions.
func rightClass(k lab.Kind, deaf bool) natprobe.Class {
	if deaf {
		return natprobe.Silent
	}
	if len(k.Chain) == 0 {
		return natprobe.Public
	}
	if outer := k.Chain[len(k.Chain)-1]; outer.Mapping == lab.NoTranslation {
		return natprobe.Firewall
	} else if len(outer.Egress) > 0 {
		return natprobe.Blocked
	}
	open := k.Looks.Filtering == lab.EndpointIndependentFiltering
	switch {
	case k.Looks.Mapping != lab.EndpointIndependentMapping && open:
		return natprobe.SymmetricOpenFilter
	case k.Looks.Mapping != lab.EndpointIndependentMapping && k.Looks.Allocation == lab.StepPort:
		return natprobe.SymmetricStepping
	case k.Looks.Mapping != lab.EndpointIndependentMapping:
		return natprobe.SymmetricRandom
	case open:
		return natprobe.FullCone
	case k.Looks.Filtering == lab.AddressDependentFiltering:
		return natprobe.AddressRestricted
	}
	return natprobe.PortRestricted
}
