package matrix

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"pileus/natprobe/lab"
)

// Path is how two peers are connected.
type Path string

const (
	Direct Path = "direct"
	Local  Path = "local" // at an address of the site itself
	Relay  Path = "relay"
)

// Try is one attempt of a cell.
type Try struct {
	Connected bool    `json:"connected"`
	Far       string  `json:"far,omitempty"` // address of the target as the initiator sees it
	Path      Path    `json:"path,omitempty"`
	Millis    float64 `json:"ms,omitempty"`
	Strategy  string  `json:"strategy,omitempty"` // as the node logged it
	Reason    string  `json:"reason,omitempty"`   // of a failure
	Dead      bool    `json:"dead,omitempty"`     // a session was open, and nothing passed
	Stalled   string  `json:"stalled,omitempty"`  // which of the two stood still
	// Classes of initiator and target, as the node logged them.
	Classes [2]string `json:"classes,omitzero"`
}

// Cell is one ordered pair of sites.
type Cell struct {
	Initiator string `json:"initiator"`
	Target    string `json:"target"`
	Tries     []Try  `json:"tries"`
}

// Connected is how many tries did.
func (c *Cell) Connected() int {
	n := 0
	for _, t := range c.Tries {
		if t.Connected {
			n++
		}
	}
	return n
}

// Millis is the median of the tries that connected; 0 if none did.
func (c *Cell) Millis() float64 {
	var all []float64
	for _, t := range c.Tries {
		if t.Connected {
			all = append(all, t.Millis)
		}
	}
	return median(all)
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// mark is the letter for the paths of a cell; none for direct.
func (c *Cell) mark() string {
	mark := ""
	for _, p := range []Path{Local, Relay} {
		if slices.ContainsFunc(c.Tries, func(t Try) bool { return t.Path == p }) {
			mark += string(p[0])
		}
	}
	return mark
}

func (c *Cell) String() string {
	met := c.Connected()
	switch {
	case met == 0:
		return "-"
	case met < len(c.Tries):
		return fmt.Sprintf("%.0f%s %d/%d", c.Millis(), c.mark(), met, len(c.Tries))
	}
	return fmt.Sprintf("%.0f%s", c.Millis(), c.mark())
}

// Report is the outcome of a matrix.
type Report struct {
	Cells []Cell `json:"cells"`
}

// WriteTable writes the matrix for people: a row for each initiator, in it the
// median of the milliseconds.
func (r *Report) WriteTable(w io.Writer) {
	var rows, columns, single []string
	for _, c := range r.Cells {
		if strings.Contains(c.Initiator, "/") {
			single = append(single, fmt.Sprintf("%-8s to %-8s %s", c.Initiator, c.Target, c.String()))
			continue
		}
		if !slices.Contains(rows, c.Initiator) {
			rows = append(rows, c.Initiator)
		}
		if !slices.Contains(columns, c.Target) {
			columns = append(columns, c.Target)
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(w, "%-6s", "")
		for _, to := range columns {
			fmt.Fprintf(w, " %8s", to)
		}
		fmt.Fprintln(w, "   <- target")
		for _, from := range rows {
			fmt.Fprintf(w, "%-6s", from)
			for _, to := range columns {
				fmt.Fprintf(w, " %8s", r.text(from, to))
			}
			fmt.Fprintln(w)
		}
	}
	for _, line := range single {
		fmt.Fprintln(w, line)
	}
	r.writeSums(w)
}

func (r *Report) text(from, to string) string {
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Initiator == from && c.Target == to {
			return c.String()
		}
	}
	return ""
}

func (r *Report) writeSums(w io.Writer) {
	always, ever, tries, met, dead := 0, 0, 0, 0, 0
	var millis []float64
	paths, reasons := make(map[Path]int), make(map[string]int)
	for i := range r.Cells {
		c := &r.Cells[i]
		n := c.Connected()
		tries, met = tries+len(c.Tries), met+n
		if n > 0 {
			ever++
		}
		if n == len(c.Tries) {
			always++
		}
		for _, t := range c.Tries {
			if t.Connected {
				paths[t.Path]++
				millis = append(millis, t.Millis)
			} else {
				reasons[t.Reason]++
			}
			if t.Dead {
				dead++
			}
		}
	}
	fmt.Fprintf(w, "\nmilliseconds from asking until the session is open; l: local address, r: relay, -: not connected\n")
	fmt.Fprintf(w, "%d of %d ordered pairs connected in every try, %d in any; %d of %d tries: %d direct, %d local, %d relay\n",
		always, len(r.Cells), ever, met, tries, paths[Direct], paths[Local], paths[Relay])
	if dead > 0 {
		fmt.Fprintf(w, "%d dead: a session was open, and nothing came back over it\n", dead)
	}
	if len(millis) > 0 {
		m := median(millis)
		fmt.Fprintf(w, "median %.0f ms, nine of ten %.0f ms, slowest %.0f ms\n", m, millis[len(millis)*9/10], millis[len(millis)-1])
	}
	for _, reason := range sortedKeys(reasons) {
		fmt.Fprintf(w, "%4d x  %s\n", reasons[reason], reason)
	}
	r.writeClasses(w)
}

// writeClasses tells what the node took each kind of site for.
func (r *Report) writeClasses(w io.Writer) {
	seen := make(map[string]map[string]int)
	for _, c := range r.Cells {
		for _, t := range c.Tries {
			for i, label := range []string{c.Initiator, c.Target} {
				if t.Classes[i] == "" {
					continue
				}
				name, _, _ := strings.Cut(label, "/")
				if seen[name] == nil {
					seen[name] = make(map[string]int)
				}
				seen[name][t.Classes[i]]++
			}
		}
	}
	if len(seen) == 0 {
		return
	}
	fmt.Fprintln(w, "\nclassified by the node:")
	for _, k := range lab.Kinds() {
		if counts, ok := seen[k.Name]; ok {
			fmt.Fprintf(w, "%-6s", k.Name)
			for _, class := range sortedKeys(counts) {
				fmt.Fprintf(w, " %d x %s", counts[class], class)
			}
			fmt.Fprintln(w)
		}
	}
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
