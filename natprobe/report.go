package natprobe

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
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

// Report is the outcome of a test, as text and as JSON. Its Observations are a
// record: NewReport makes the same of them again.
type Report struct {
	Verdict      string         `json:"verdict"` // one line of plain English
	Direct       Answer         `json:"direct"`  // MeetsHomeRouter; No too if there is no UDP
	NoUDP        bool           `json:"noUdp,omitempty"`
	Class        Class          `json:"class"`
	LegacyName   string         `json:"legacyName"`
	Server       netip.AddrPort `json:"server,omitzero"`
	Local        netip.AddrPort `json:"local,omitzero"`
	Seen         netip.AddrPort `json:"seen,omitzero"`
	Behavior     Behavior       `json:"behavior"`
	Notes        []string       `json:"notes,omitempty"` // what could not be tested, and why
	Observations []Observation  `json:"observations"`
}

// NewReport classifies a record at now.
func NewReport(obs []Observation, now time.Time, notes ...string) Report {
	b := Classify(obs, now)
	r := Report{
		Direct: b.MeetsHomeRouter(), Class: b.Class(), LegacyName: b.Class().LegacyName(),
		Behavior: b, Notes: notes, Observations: obs,
	}
	asked, answers := 0, 0
	for _, o := range obs {
		switch o.Kind {
		case KindObserved:
			r.Server, r.Seen = o.Node, o.Seen
		case KindReported:
			r.Local = o.Seen
		case KindControlMapping:
			asked += o.Tries
			answers += o.Hits
			if !r.Server.IsValid() {
				r.Server = o.Node
			}
		default:
		}
	}
	if asked > 0 && answers == 0 && !r.Seen.IsValid() {
		r.NoUDP, r.Direct = true, No
	}
	r.Verdict = r.verdict(asked)
	return r
}

func (r Report) verdict(asked int) string {
	switch {
	case r.NoUDP:
		return fmt.Sprintf("no UDP: %v did not answer any of %d requests", r.Server, asked)
	case r.Direct == Yes && r.Class != ClassUnknown:
		return "direct: reaches home routers and all easier kinds without a relay (" + r.LegacyName + ")"
	case r.Direct == Yes:
		return "direct: reaches home routers and all easier kinds without a relay"
	case r.Direct == No && r.Class != ClassUnknown:
		return "relay: cannot reach a home router without one (" + r.LegacyName + ")"
	case r.Direct == No:
		return "relay: cannot reach a home router without one"
	}
	return "unsure: what was seen fits more than one kind of NAT"
}

// WriteText writes the report for people: the verdict on the first line, and
// below it what it rests on.
func (r Report) WriteText(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintln(&out, r.Verdict)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&out, "  %-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	if r.Seen.IsValid() {
		line("address", "%v seen as %v by %v%s", r.Local, r.Seen, r.Server, translation(r.Behavior))
		r.Behavior.describe(line)
		if r.Class != ClassUnknown {
			line("advice", "%s", r.Behavior.Advice())
		}
	}
	for _, n := range r.Notes {
		line("note", "%s", n)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func translation(b Behavior) string {
	switch b.Public.Answer {
	case Yes:
		return ": no NAT"
	case No:
		return ": a NAT"
	default:
		return ""
	}
}

var (
	mappingMeaning = map[Mapping]string{
		EIM: "one public port for all destinations", ADM: "a public port for each address",
		APDM: "a public port for each destination", MappingNotEIM: "a public port for each destination or address",
		MappingNotAPDM: "one public port for all ports of one address; about others one server address tells nothing",
	}
	filteringMeaning = map[Filtering]string{
		EIF: "anybody's packets pass", ADF: "packets pass from addresses written to",
		APDF: "packets pass from addresses and ports written to", FilteringNotEIF: "strangers' packets do not pass",
		FilteringNotAPDF: "packets pass from other ports of an address written to",
	}
)

func (b Behavior) describe(line func(name, format string, args ...any)) {
	meaning := func(s string) string {
		if s == "" {
			return ""
		}
		return ", " + s
	}
	line("mapping", "%v%s (%d of %d tries show the same address)", b.Mapping, meaning(mappingMeaning[b.Mapping]), b.MappingBy.Hits, b.MappingBy.Tries)
	line("filtering", "%v%s (%d of %d probes from elsewhere passed)", b.Filtering, meaning(filteringMeaning[b.Filtering]), b.FilteringBy.Hits, b.FilteringBy.Tries)
	switch b.Allocation {
	case Stepping:
		line("ports", "stepping by %+d, others in between take up to %d (%d mappings)", b.Step, b.Jitter, b.AllocationBy.Tries)
	case Ranged:
		line("ports", "ranged, %d to %d (%d mappings)", b.Range[0], b.Range[1], b.AllocationBy.Tries)
	default:
		line("ports", "%v (%d of %d mappings)", b.Allocation, b.AllocationBy.Hits, b.AllocationBy.Tries)
	}
	line("hairpin", "%v (%d of %d)", b.Hairpin.Answer, b.Hairpin.Hits, b.Hairpin.Tries)
	if b.Pooling.Answer == Yes {
		line("addresses", "several: %d of %d mappings on another public address", b.Pooling.Hits, b.Pooling.Tries)
	}
	if b.AnswersIntroductions.Answer == No {
		line("peers", "answers no introduction (0 of %d)", b.AnswersIntroductions.Tries)
	}
	if b.BlockedRoutes.Answer == Yes {
		line("routes", "blocked but towards %v", b.Reachable)
	}
}

// End returns when the last observation was made: the time to classify a record
// at.
func (r Report) End() (end time.Time) {
	for _, o := range r.Observations {
		if o.At.After(end) {
			end = o.At
		}
	}
	return end
}
