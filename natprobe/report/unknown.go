package report

import (
	"net/netip"
	"slices"
	"strings"

	"pileus/natprobe"
)

// Unknown is a question that what was measured leaves open.
type Unknown struct {
	Question string `json:"question"`
	How      string `json:"how"` // to find it out
}

const (
	howSecondServer = "a second --server"
	howTwoAddresses = "a server with two addresses, or a pileus node"
	howAgain        = "the same again, or another server"
)

// unknowns are those that the verdict rests on.
func (r *Report) unknowns() []Unknown {
	if !r.Seen.IsValid() || r.blind() != "" {
		return nil
	}
	var all []Unknown
	b := r.Behavior
	switch b.Mapping {
	case natprobe.EIM, natprobe.ADM, natprobe.APDM:
	case natprobe.MappingUnknown, natprobe.MappingNotEIM, natprobe.MappingNotAPDM:
		how := howSecondServer
		if len(r.heardAt()) > 1 {
			how = howAgain
		}
		if b.Public.Answer != natprobe.Yes && r.spread() == nil { // without a NAT, nothing is mapped; over several lines, nobody can tell
			all = append(all, Unknown{"mapping", how})
		}
	}
	switch b.Filtering {
	case natprobe.EIF, natprobe.ADF, natprobe.APDF:
	case natprobe.FilteringUnknown, natprobe.FilteringNotEIF, natprobe.FilteringNotAPDF:
		how := howTwoAddresses
		if r.filtersAsked() > 1 {
			how = howAgain
		}
		all = append(all, Unknown{"filtering", how})
	}
	if b.Mapping.Dependent() && b.Allocation == natprobe.AllocationUnknown {
		all = append(all, Unknown{"ports", howAgain})
	}
	return all
}

// heardAt are the addresses of servers that said where they see the host.
func (r *Report) heardAt() []netip.Addr {
	var addrs []netip.Addr
	for _, run := range r.Runs {
		for _, o := range run.Observations {
			mapped := o.Kind == natprobe.KindMapping || o.Kind == natprobe.KindControlMapping
			if mapped && o.Hits > 0 && !slices.Contains(addrs, o.Node.Addr()) {
				addrs = append(addrs, o.Node.Addr())
			}
		}
	}
	return addrs
}

// filtersAsked counts the addresses and ports that answers were asked for from.
func (r *Report) filtersAsked() int {
	asked := 0
	for _, run := range r.Runs {
		for _, o := range run.Observations {
			if o.Kind == natprobe.KindFilter {
				asked++
			}
		}
	}
	return asked
}

// howToTell is, in a verdict, what would tell the unknown in it.
func (r *Report) howToTell() string {
	var hows []string
	for _, u := range r.Unknown {
		if !slices.Contains(hows, u.How) {
			hows = append(hows, u.How)
		}
	}
	// What tells the filter tells the mapping too.
	if len(hows) > 1 && slices.Contains(hows, howTwoAddresses) {
		hows = []string{howTwoAddresses}
	}
	if hows == nil || r.Class != natprobe.ClassUnknown {
		return ""
	}
	verb := " tells)"
	if strings.HasPrefix(hows[0], howAgain) {
		verb = " may tell)"
	}
	return " (" + strings.Join(hows, "; ") + verb
}

// byIntroduction is what a node found out of this host by introductions, which a server
// with one address cannot.
func (r *Report) byIntroduction() (b natprobe.Behavior, ok bool) {
	n := r.Depth.Node
	if n == nil || n.Works != natprobe.Yes || n.Seen.Addr() != r.Seen.Addr() {
		return b, false // by another way than the servers, or none
	}
	b.Mapping, b.Filtering = n.Mapping, n.Filtering
	if n.Class == natprobe.Blocked {
		b.BlockedRoutes.Answer = natprobe.Yes
	}
	return b, true
}
