package natprobe

import (
	"fmt"
	"net/netip"
	"time"
)

// MeetsHomeRouter says whether a host with this behaviour and one behind the
// usual home router (PortRestricted) reach each other without a relay, given an
// introducer that predicts ports where they step.
func (b Behavior) MeetsHomeRouter() Answer {
	switch {
	case b.BlockedRoutes.Answer == Yes, b.AnswersIntroductions.Answer == No:
		return No
	case b.Public.Answer == Yes, b.Mapping == EIM, b.Mapping.Dependent() && b.Allocation == Stepping:
		return Yes
	case b.Mapping.Dependent() && (b.Allocation == Random || b.Allocation == Ranged):
		return No
	}
	return Unknown
}

// Report is the outcome of a test, as text and as JSON (report.schema.json). All
// of it follows from its Record.
type Report struct {
	Schema        string         `json:"schema"`
	Verdict       string         `json:"verdict"` // one line of plain English
	Direct        Answer         `json:"direct"`  // MeetsHomeRouter; No too if there is no UDP
	NoUDP         bool           `json:"noUdp,omitempty"`
	Class         Class          `json:"class"`
	LegacyName    string         `json:"legacyName"`
	Advice        string         `json:"advice,omitempty"`
	Reach         *Reach         `json:"reach,omitempty"`
	Server        netip.AddrPort `json:"server,omitzero"`
	Local         netip.AddrPort `json:"local,omitzero"`
	Seen          netip.AddrPort `json:"seen,omitzero"`
	Behavior      Behavior       `json:"behavior"`
	Ports         *Ports         `json:"ports,omitempty"`
	Disagreements []Disagreement `json:"disagreements,omitempty"`
	Record
}

// NewReport classifies a record at now. reach, which may be nil, says whom a host
// with such a behaviour meets.
func NewReport(rec Record, now time.Time, reach func(Behavior) Reach) Report {
	r := Report{Schema: Schema, Record: rec}
	asked := r.classify(now)
	r.Class = r.Behavior.Class()
	r.LegacyName = r.Class.LegacyName()
	if !r.NoUDP {
		r.Direct = r.Behavior.MeetsHomeRouter()
	}
	if reach != nil && r.Seen.IsValid() {
		met := reach(r.Behavior)
		r.Reach = &met
	}
	if r.Class != ClassUnknown {
		r.Advice = r.Behavior.Advice()
	}
	r.Verdict = r.verdict(asked)
	return r
}

// classify sets what the runs say together, and returns how often servers were
// asked.
func (r *Report) classify(now time.Time) (asked int) {
	var behaviors []Behavior
	answers := 0
	for _, run := range r.Runs {
		heard := false
		for _, o := range run.Observations {
			switch o.Kind {
			case KindObserved:
				heard = true
				if !r.Seen.IsValid() {
					r.Server, r.Seen = o.Node, o.Seen
				}
			case KindReported:
				if !r.Local.IsValid() {
					r.Local = o.Seen
				}
			case KindControlMapping:
				asked += o.Tries
				answers += o.Hits
			default:
			}
		}
		if heard || len(r.Runs) == 1 {
			behaviors = append(behaviors, Classify(run.Observations, now))
		}
		if r.Ports == nil {
			r.Ports = newPorts(run.Observations)
		}
	}
	if !r.Server.IsValid() && len(r.Runs) > 0 {
		r.Server = r.Runs[0].Server
	}
	if asked > 0 && answers == 0 && !r.Seen.IsValid() {
		r.NoUDP, r.Direct = true, No
	}
	r.Behavior, r.Disagreements = Consensus(behaviors)
	if l := r.Depth.Load; l.Changed() {
		// It only looked as if one port served all.
		r.Disagreements = append(r.Disagreements, Disagreement{
			Question: "mapping under load",
			Answers:  []string{fmt.Sprintf("%v for %d destinations", r.Behavior.Mapping, l.KeptFor), "another port for the next"},
		})
		r.Behavior.Mapping, r.Behavior.MappingBy.Answer = MappingUnknown, Unknown
	}
	return asked
}

func (r *Report) verdict(asked int) string {
	switch {
	case r.NoUDP && len(r.Runs) == 1:
		return fmt.Sprintf("no UDP: %v did not answer any of %d requests", r.Server, asked)
	case r.NoUDP:
		return fmt.Sprintf("no UDP: none of %d servers answered any of %d requests", len(r.Runs), asked)
	case !r.Seen.IsValid():
		return "nothing is known: no server was heard of"
	case r.Reach != nil:
		return r.Behavior.Describe() + ": " + r.Reach.clause()
	}
	return r.Behavior.Describe()
}
