package report

import (
	"fmt"
	"net/netip"
	"time"

	"pileus/natprobe"
)

// meetsHomeRouter says whether a host with behaviour b and one behind the usual
// home router (PortRestricted) reach each other without a relay, given an
// introducer that predicts ports where they step.
func meetsHomeRouter(b natprobe.Behavior) natprobe.Answer {
	switch {
	case b.BlockedRoutes.Answer == natprobe.Yes, b.AnswersIntroductions.Answer == natprobe.No:
		return natprobe.No
	case b.Public.Answer == natprobe.Yes && b.Filtering != natprobe.FilteringUnknown,
		b.Mapping == natprobe.EIM, b.Mapping.Dependent() && b.Allocation == natprobe.Stepping:
		// A host without NAT of whose filter nothing is known, and that was heard of at one
		// server's address alone, may reach nobody else.
		return natprobe.Yes
	case b.Mapping.Dependent() && (b.Allocation == natprobe.Random || b.Allocation == natprobe.Ranged):
		return natprobe.No
	}
	return natprobe.Unknown
}

// Report is the outcome of a test, as text and as JSON (report.schema.json). All
// of it follows from its Record.
type Report struct {
	Schema        string            `json:"schema"`
	Verdict       string            `json:"verdict"` // one line of plain English
	Direct        natprobe.Answer   `json:"direct"`  // a home router is met without a relay; No too if there is no UDP
	NoUDP         bool              `json:"noUdp,omitempty"`
	Class         natprobe.Class    `json:"class"`
	LegacyName    string            `json:"legacyName"`
	Advice        string            `json:"advice,omitempty"`
	Reach         *Reach            `json:"reach,omitempty"`
	Server        netip.AddrPort    `json:"server,omitzero"`
	Local         netip.AddrPort    `json:"local,omitzero"`
	Seen          netip.AddrPort    `json:"seen,omitzero"`
	Behavior      natprobe.Behavior `json:"behavior"`
	Ports         *natprobe.Ports   `json:"ports,omitempty"`
	Disagreements []Disagreement    `json:"disagreements,omitempty"`
	Unknown       []Unknown         `json:"unknown,omitempty"`
	Record

	introduced struct{ mapping, filtering bool } // what the node's introductions tell, and servers did not
}

// New classifies a record at now. reach, which may be nil, says whom a host
// with such a behaviour meets.
func New(rec Record, now time.Time, reach func(natprobe.Behavior) Reach) Report {
	r := Report{Schema: Schema, Record: rec}
	asked := r.classify(now)
	blind := r.blind()
	r.Unknown = r.unknowns()
	if blind != "" {
		r.Behavior, r.Ports, r.Disagreements = natprobe.Behavior{}, nil, nil
	}
	r.Class = r.Behavior.Class()
	r.LegacyName = r.Class.LegacyName()
	if !r.NoUDP {
		r.Direct = meetsHomeRouter(r.Behavior)
	}
	if r.sixAlone() {
		r.Direct, reach = natprobe.No, nil
	}
	if reach != nil && r.Seen.IsValid() && blind == "" {
		met := reach(r.Behavior)
		r.Reach = &met
	}
	switch {
	case r.sixAlone():
		r.Advice = "Peers are named by their IPv4 addresses, to which a host that has IPv6 alone cannot send. 464XLAT on this host (a CLAT), or peers and a node with IPv6, avoid the relay."
	case r.Class != natprobe.ClassUnknown:
		r.Advice = r.Behavior.Advice()
	}
	r.Verdict = r.verdict(asked)
	if blind != "" {
		r.Verdict = "nothing is known: " + blind
	}
	return r
}

// classify sets what the runs say together, and returns how often servers were
// asked.
func (r *Report) classify(now time.Time) (asked int) {
	var behaviors []natprobe.Behavior
	answers := 0
	for _, run := range r.Runs {
		heard := false
		for _, o := range run.Observations {
			switch o.Kind {
			case natprobe.KindObserved:
				heard = true
				if !r.Seen.IsValid() {
					r.Server, r.Seen = o.Node, o.Seen
				}
			case natprobe.KindReported:
				if !r.Local.IsValid() {
					r.Local = o.Seen
					if run.Own.IsValid() {
						r.Local = netip.AddrPortFrom(run.Own, o.Seen.Port())
					}
				}
			case natprobe.KindControlMapping:
				asked += o.Tries
				answers += o.Hits
			default:
			}
		}
		if heard || len(r.Runs) == 1 {
			behaviors = append(behaviors, natprobe.Classify(run.Observations, now))
		}
		if r.Ports == nil {
			r.Ports = natprobe.NewPorts(run.Observations)
		}
	}
	if !r.Server.IsValid() && len(r.Runs) > 0 {
		r.Server = r.Runs[0].Server
	}
	if asked > 0 && answers == 0 && !r.Seen.IsValid() && !r.heardUDP() {
		r.NoUDP, r.Direct = true, natprobe.No
	}
	r.Behavior, r.Disagreements = consensusOf(behaviors)
	if node, ok := r.byIntroduction(); ok {
		servers := r.Behavior
		r.Behavior, r.Disagreements = consensusOf(append(behaviors, node))
		r.introduced.mapping = r.Behavior.Mapping != servers.Mapping
		r.introduced.filtering = r.Behavior.Filtering != servers.Filtering
	}
	if r.spread() != nil { // it only looks as if each destination had a port of its own
		r.Behavior.Mapping, r.Behavior.MappingBy.Answer = natprobe.MappingUnknown, natprobe.Unknown
		r.Behavior.Allocation, r.Behavior.Step = natprobe.AllocationUnknown, 0
		return asked
	}
	if l := r.Depth.Load; l.Changed() {
		// It only looked as if one port served all.
		r.Disagreements = append(r.Disagreements, Disagreement{
			Question: "mapping under load",
			Answers:  []string{fmt.Sprintf("%v for %d destinations", r.Behavior.Mapping, l.KeptFor), "another port for the next"},
		})
		r.Behavior.Mapping, r.Behavior.MappingBy.Answer = natprobe.MappingUnknown, natprobe.Unknown
	}
	return asked
}

func (r *Report) verdict(asked int) string {
	switch {
	case r.NoUDP && len(r.Runs) == 1:
		return fmt.Sprintf("no UDP: %v did not answer any of %d requests%s", r.Server, asked, r.refusedBy())
	case r.NoUDP:
		return fmt.Sprintf("no UDP: none of %d servers answered any of %d requests%s", len(r.Runs), asked, r.refusedBy())
	case !r.Seen.IsValid() && r.heardUDP():
		return "UDP comes back, but nothing is known: " + r.heardFirst()
	case !r.Seen.IsValid():
		return "nothing is known: no server was heard of"
	case r.sixAlone():
		return describe(r.Behavior, r.place()) + ": this host has no IPv4, so that peers which have nothing else take a relay"
	case r.Reach != nil:
		return describe(r.Behavior, r.place()) + r.howToTell() + ": " + r.Reach.clause()
	}
	return describe(r.Behavior, r.place()) + r.howToTell()
}
