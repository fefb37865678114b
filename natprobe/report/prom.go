package report

import (
	"fmt"
	"io"
	"strings"

	"pileus/natprobe"
)

// WriteProm writes the report for the text file collector of Prometheus' node
// exporter. Labels have values of closed lists only.
func (r Report) WriteProm(w io.Writer) error {
	var out strings.Builder
	metric := func(name, help, labels string, value float64) {
		fmt.Fprintf(&out, "# HELP natprobe_%s %s\n# TYPE natprobe_%[1]s gauge\nnatprobe_%[1]s%[3]s %[4]g\n", name, help, labels, value)
	}
	metric("measured", "Whether the last test could be done: 1 yes, 0 no; then nothing else is told.", "", number(r.measured()))
	if !r.measured() {
		_, err := io.WriteString(w, out.String())
		return err
	}
	metric("info", "What the network is.", fmt.Sprintf("{class=%q,mapping=%q,filtering=%q,allocation=%q}",
		r.Class, r.Behavior.Mapping, r.Behavior.Filtering, r.Behavior.Allocation), 1)
	metric("udp", "Whether UDP reaches a server: 1 yes, 0 no.", "", number(!r.NoUDP))
	metric("direct", "Whether a home router is met without a relay: 1 yes, 0 no, -1 unknown.", "", answerNumber(r.Direct))
	if r.Reach != nil {
		metric("reach_direct", "Kinds of peers that are met without a relay.", "", float64(len(r.Reach.Direct)))
		metric("reach_kinds", "Kinds of peers there are.", "", float64(r.Reach.of()))
	}
	if r.Behavior.Allocation == natprobe.Stepping {
		metric("port_step", "Distance between the ports of two new mappings.", "", float64(r.Behavior.Step))
	}
	if r.Ports != nil {
		metric("port_entropy_bits", "What is left to guess of the next port.", "", r.Ports.Entropy)
	}
	d := &r.Depth
	if l := d.Lifetime; l != nil && l.Fresh.Seconds() > 0 {
		metric("lifetime_seconds", "How long a mapping lives without packets.", "", l.Fresh.Seconds())
	}
	if m := d.MTU; m != nil && m.Bytes > 0 {
		metric("path_mtu_bytes", "Longest packet that arrives whole at the server.", "", float64(m.Bytes))
	}
	if m := d.MTUIn; m != nil && m.Bytes > 0 {
		metric("path_mtu_in_bytes", "Longest packet that arrives whole from it.", "", float64(m.Bytes))
	}
	if f := d.Fragments; f != nil {
		metric("fragments_out", "Whether fragments arrive at the server: 1 yes, 0 no, -1 unknown.", "", answerNumber(f.Out.Answer))
		metric("fragments_in", "Whether fragments arrive from it: 1 yes, 0 no, -1 unknown.", "", answerNumber(f.In.Answer))
	}
	if a := d.ALG; a != nil {
		metric("payload_mangled", "Whether somebody rewrites addresses in payloads: 1 yes, 0 no.", "", number(a.Mangled > 0))
	}
	if n := d.Node; n != nil && n.Works == natprobe.Yes {
		metric("rtmfp_connect_seconds", "Time to an RTMFP connection with the node.", "", n.Took.Seconds())
	}
	if end := r.End(); !end.IsZero() {
		metric("last_run_timestamp_seconds", "When this was measured.", "", float64(end.Unix()))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func answerNumber(a natprobe.Answer) float64 {
	if a == natprobe.Unknown {
		return -1
	}
	return number(a == natprobe.Yes)
}
