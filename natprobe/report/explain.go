package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// WriteTrace writes packet by packet what was sent and what came, in milliseconds
// from the first.
func (r Report) WriteTrace(w io.Writer) error {
	events := slices.SortedStableFunc(slices.Values(r.Trace), func(a, b Event) int { return a.At.Compare(b.At) })
	var out strings.Builder
	for _, e := range events {
		arrow := "<-"
		if e.Sent {
			arrow = "->"
		}
		after := float64(e.At.Sub(events[0].At)) / float64(time.Millisecond)
		fmt.Fprintf(&out, "%9.1f ms  %-21v %s %-21v %4d bytes  %s\n", after, e.Local, arrow, e.Peer, e.Bytes, e.Text)
	}
	if len(events) == MaxEvents {
		fmt.Fprintf(&out, "there were more; a trace has %d packets at most\n", MaxEvents)
	}
	_, err := io.WriteString(w, out.String())
	return err
}
