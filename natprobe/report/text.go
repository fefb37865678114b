package report

import (
	"fmt"
	"io"
	"strings"

	"pileus/natprobe"
)

// Style is how text looks.
type Style struct {
	Color bool // ANSI escapes, for terminals
}

const (
	ansiReset  = "\x1b[0m"
	ansiBold   = "\x1b[1m"
	ansiDim    = "\x1b[2m"
	ansiGreen  = "\x1b[32m"
	ansiYellow = "\x1b[33m"
	ansiRed    = "\x1b[31m"
)

// Line is a line of evidence.
type Line struct{ Name, Text string }

// WriteText writes the report for people: the verdict on the first line, and
// below it what it rests on.
func (r Report) WriteText(w io.Writer, style Style) error {
	var out strings.Builder
	color := map[natprobe.Answer]string{natprobe.Yes: ansiGreen, natprobe.No: ansiRed, natprobe.Unknown: ansiYellow}[r.Direct]
	fmt.Fprintln(&out, style.in(ansiBold+color, r.Verdict))
	for _, l := range r.Lines() {
		fmt.Fprintf(&out, "  %s %s\n", style.in(ansiDim, fmt.Sprintf("%-11s", l.Name)), l.Text)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (s Style) in(escape, text string) string {
	if !s.Color {
		return text
	}
	return escape + text + ansiReset
}

// Lines returns what the verdict rests on, what to do about it, and what could not
// be tested.
func (r Report) Lines() []Line {
	var lines []Line
	line := func(name, format string, args ...any) {
		lines = append(lines, Line{name, fmt.Sprintf(format, args...)})
	}
	if r.Seen.IsValid() {
		own := "this host"
		if r.Local.IsValid() {
			own = r.Local.String() + r.on()
		}
		line("address", "%s seen as %v by %v%s", own, r.Seen, r.Server, translation(r.Behavior))
		if r.blind() == "" {
			r.behaviorLines(line)
		}
		portsLines(r.Ports, line)
	}
	r.Way.describe(line)
	r.heardLines(line)
	if nats := r.NATs(); nats != "" {
		line("NATs", "%s", nats)
	}
	r.Depth.describe(line)
	for _, d := range r.Disagreements {
		line("disagreed", "%s: %s", d.Question, strings.Join(d.Answers, ", "))
	}
	for _, u := range r.Unknown {
		line("unknown", "%s: told by %s", u.Question, u.How)
	}
	if r.Advice != "" {
		line("advice", "%s", r.Advice)
	}
	for _, n := range r.notes() {
		line("note", "%s", n)
	}
	return lines
}

// notes are those of the record and of its runs, each once.
func (r Report) notes() []string {
	var all []string
	known := make(map[string]bool)
	add := func(n string) {
		if !known[n] {
			known[n] = true
			all = append(all, n)
		}
	}
	for _, run := range r.Runs {
		for _, n := range run.Notes {
			if len(r.Runs) > 1 {
				n = fmt.Sprintf("%v: %s", run.Server, n)
			}
			add(n)
		}
		if run.Interrupted {
			add("interrupted: this is what was known by then")
		}
	}
	for _, n := range r.Notes {
		add(n)
	}
	if server := r.Server.Addr(); r.Seen.IsValid() && local(server) && r.blind() == "" {
		add(fmt.Sprintf("%v is inside a network: nothing is said of the way beyond", server))
	}
	return all
}

// on names the interface that packets leave by.
func (r Report) on() string {
	for _, i := range r.Host.Interfaces {
		for _, p := range i.Addrs {
			if p.Addr() != r.Local.Addr() {
				continue
			}
			if i.Tunnel {
				return " (" + i.Name + ", a tunnel)"
			}
			return " (" + i.Name + ")"
		}
	}
	return ""
}

func translation(b natprobe.Behavior) string {
	switch b.Public.Answer {
	case natprobe.Yes:
		return ": no NAT"
	case natprobe.No:
		return ": a NAT"
	default:
		return ""
	}
}

var (
	mappingMeaning = map[natprobe.Mapping]string{
		natprobe.EIM: "one public port for all destinations", natprobe.ADM: "a public port for each address",
		natprobe.APDM: "a public port for each destination", natprobe.MappingNotEIM: "a public port for each destination or address",
		natprobe.MappingNotAPDM: "one public port for all ports of one address; about others one server address tells nothing",
	}
	filteringMeaning = map[natprobe.Filtering]string{
		natprobe.EIF: "anybody's packets pass", natprobe.ADF: "packets pass from addresses written to",
		natprobe.APDF: "packets pass from addresses and ports written to", natprobe.FilteringNotEIF: "strangers' packets do not pass",
		natprobe.FilteringNotAPDF: "packets pass from other ports of an address written to",
	}
)

func (r Report) behaviorLines(line liner) {
	b := r.Behavior
	by := func(introduced bool) string {
		if introduced {
			return "; by the node's introductions"
		}
		return ""
	}
	line("mapping", "%v%s (%d of %d tries show the same address%s)", b.Mapping, optional(", ", mappingMeaning[b.Mapping]),
		b.MappingBy.Hits, b.MappingBy.Tries, by(r.introduced.mapping))
	line("filtering", "%v%s (%d of %d probes from elsewhere passed%s)", b.Filtering, optional(", ", filteringMeaning[b.Filtering]),
		b.FilteringBy.Hits, b.FilteringBy.Tries, by(r.introduced.filtering))
	switch b.Allocation {
	case natprobe.Stepping:
		line("ports", "stepping by %+d, others in between take up to %d (%d mappings)", b.Step, b.Jitter, b.AllocationBy.Tries)
	case natprobe.Ranged:
		line("ports", "ranged, %d to %d (%d mappings)", b.Range[0], b.Range[1], b.AllocationBy.Tries)
	default:
		line("ports", "%v (%d of %d mappings)", b.Allocation, b.AllocationBy.Hits, b.AllocationBy.Tries)
	}
	line("hairpin", "%v (%d of %d)", b.Hairpin.Answer, b.Hairpin.Hits, b.Hairpin.Tries)
	if b.Pooling.Answer == natprobe.Yes {
		line("addresses", "several: %d of %d mappings on another public address", b.Pooling.Hits, b.Pooling.Tries)
	}
	if b.AnswersIntroductions.Answer == natprobe.No {
		line("peers", "answers no introduction (0 of %d)", b.AnswersIntroductions.Tries)
	}
	if b.BlockedRoutes.Answer == natprobe.Yes {
		reachable := "few ports or addresses"
		if len(b.Reachable) > 0 {
			reachable = fmt.Sprint(b.Reachable)
		}
		line("routes", "blocked but towards %s", reachable)
	}
}

func portsLines(p *natprobe.Ports, line liner) {
	if p == nil {
		return
	}
	line("parity", "%v (%d of %d); contiguous: %v (%d of %d)", p.Parity.Answer, p.Parity.Hits, p.Parity.Tries,
		p.Contiguous.Answer, p.Contiguous.Hits, p.Contiguous.Tries)
	if p.Birthday != nil {
		line("guessing", "%d to %d, likely %d to %d: %.1f bits; of %d open ports one is hit by %d, %d, %d random probes (50, 98, 99.9 %%)",
			p.Seen[0], p.Seen[1], p.Likely[0], p.Likely[1], p.Entropy, natprobe.BirthdayPorts, p.Birthday[0], p.Birthday[1], p.Birthday[2])
	}
}
