package report

import (
	"fmt"
	"strings"
	"time"

	"pileus/natprobe"
)

type liner func(name, format string, args ...any)

// describe writes what was measured, a line each.
func (d *Depth) describe(line liner) {
	if l := d.Lifetime; l != nil {
		line("lifetime", "%v after one exchange, %v in use; packets from outside prolong it: %v (%d of %d)",
			l.Fresh, l.Used, l.InboundRefresh.Answer, l.InboundRefresh.Hits, l.InboundRefresh.Tries)
	}
	if l := d.Load; l != nil {
		if l.Changed() {
			line("load", "the port changed after %d destinations (%d of %d saw the first one)", l.KeptFor, l.Same, l.Destinations)
		} else {
			line("load", "%d of %d destinations saw the same port", l.Same, l.Destinations)
		}
	}
	if a := d.ALG; a != nil {
		if a.Mangled > 0 {
			line("payloads", "somebody rewrites addresses in them: %v became %v (%d of %d answers)", a.Seen, a.Plain, a.Mangled, a.Answers)
		} else {
			line("payloads", "not touched (%d of %d answers)", a.Answers, a.Answers)
		}
	}
	if m := d.MTU; m != nil {
		m.describe(line, "MTU out", "as much as this host sends")
	}
	if m := d.MTUIn; m != nil {
		m.describe(line, "MTU in", "as much as could be asked for")
	}
	if f := d.Fragments; f != nil {
		line("fragments", "out: %s (%d of %d), in: %s (%d of %d)", arrive(f.Out.Answer), f.Out.Hits, f.Out.Tries,
			arrive(f.In.Answer), f.In.Hits, f.In.Tries)
	}
	describeMarks(d.Marks, line)
	if v := d.IPv6; v != nil {
		v.describe(line)
	}
	var silent []string
	for _, g := range d.Gateways {
		at := optional(" at ", g.At)
		switch {
		case g.External.IsValid():
			line("router", "%s%s: its own address is %v%s", g.Protocol, at, g.External, optional("; ", g.Text))
		case strings.HasPrefix(g.Text, NoAnswer):
			silent = append(silent, g.Protocol)
		default:
			line("router", "%s%s: %s", g.Protocol, at, g.Text)
		}
	}
	if len(silent) > 0 {
		line("router", "no answer to %s", strings.Join(silent, ", "))
	}
	if d.Path != nil {
		d.Path.describe(line)
	}
	if d.Node != nil {
		d.Node.describe(line)
	}
	for _, s := range d.Services {
		took := ""
		if s.Works == natprobe.Yes {
			took = fmt.Sprintf(" in %d ms", s.Took/time.Millisecond)
		}
		line("service", "%s at %s: %v%s%s", s.Name, s.At, s.Works, took, optional(", ", s.Text))
	}
}

func (p *Path) describe(line liner) {
	names := make([]string, len(p.Hops))
	for i, h := range p.Hops {
		if names[i] = "?"; h.IsValid() {
			names[i] = h.String()
		}
	}
	line("hops", "%s", strings.Join(names, ", "))
}

func (w *Way) describe(line liner) {
	switch {
	case w == nil:
	case w.Tunnel:
		line("way", "by %s, a tunnel%s", w.Interface, optional(", router ", w.router()))
	case w.Router.IsValid():
		line("way", "by %s, router %v", w.Interface, w.Router)
	default:
		line("way", "by %s, on which is no router", w.Interface)
	}
}

func (w *Way) router() string {
	if !w.Router.IsValid() {
		return ""
	}
	return w.Router.String()
}

func arrive(a natprobe.Answer) string {
	return map[natprobe.Answer]string{natprobe.Yes: "arrive", natprobe.No: "do not arrive", natprobe.Unknown: "unknown"}[a]
}

func optional(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

func (m *MTU) describe(line liner, name, limited string) {
	less := ""
	if m.Interface > m.Bytes {
		less = fmt.Sprintf(", less than the interface's %d", m.Interface)
	}
	switch {
	case m.Bytes == 0:
		line(name, "unknown (%d tries)", m.Tries)
	case m.Limited:
		line(name, "%d bytes, %s (%d tries)", m.Bytes, limited, m.Tries)
	case m.Below > m.Bytes+1:
		line(name, "%d to %d bytes%s (%d tries)", m.Bytes, m.Below-1, less, m.Tries)
	default:
		line(name, "%d bytes%s (%d tries)", m.Bytes, less, m.Tries)
	}
}

// describeMarks writes a line each way: what all marks have in common once.
func describeMarks(marks []Mark, line liner) {
	if len(marks) == 0 {
		return
	}
	way := func(name string, of func(Mark) map[uint8]int) {
		by := make(map[string][]string)
		var order []string
		for _, m := range marks {
			fate := m.Fate(of(m))
			if by[fate] == nil {
				order = append(order, fate)
			}
			by[fate] = append(by[fate], m.Name)
		}
		parts := make([]string, 0, len(order))
		for _, fate := range order {
			parts = append(parts, strings.Join(by[fate], ", ")+" "+fate)
		}
		line("marks "+name, "%s (%d tries each)", strings.Join(parts, "; "), marks[0].Tries)
	}
	way("out", func(m Mark) map[uint8]int { return m.Out })
	way("in", func(m Mark) map[uint8]int { return m.In })
}

func (v *IPv6) describe(line liner) {
	text := "no global address"
	switch {
	case v.Seen.IsValid() && v.Translated == natprobe.No:
		text = fmt.Sprintf("%v, seen as it is", v.Local)
	case v.Seen.IsValid():
		text = fmt.Sprintf("%v seen as %v: translated", v.Local, v.Seen)
	case v.Global:
		text = "a global address, " + v.Text
	case v.Text != "":
		text = v.Text
	}
	if v.NAT64.IsValid() {
		text += fmt.Sprintf("; NAT64 by %v", v.NAT64)
	}
	line("IPv6", "%s", text)
}

func (n *Node) describe(line liner) {
	if n.Works != natprobe.Yes {
		line("RTMFP", "%v at %v%s", n.Works, n.At, optional(": ", n.Text))
		return
	}
	line("RTMFP", "connected to %v in %d ms, fingerprint %s", n.At, n.Took/time.Millisecond, n.Fingerprint)
	if n.Text != "" {
		line("introduced", "%s", n.Text)
		return
	}
	line("introduced", "mapping %v, filtering %v, class %v, as the node found by introductions", n.Mapping, n.Filtering, n.Class)
}
