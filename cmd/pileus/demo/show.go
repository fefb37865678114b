package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Text tells people.
type Text struct {
	w       io.Writer
	peers   int
	met     map[[2]string]Meeting
	failed  int
	limited *Limited
}

// NewText begins to tell on w.
func NewText(w io.Writer, delay time.Duration) *Text {
	if delay == 0 {
		delay = DefaultDelay
	}
	t := &Text{w: w, met: make(map[[2]string]Meeting)}
	t.say("%d peers behind %d NATs, and a node with two addresses; %v from any site to any\n"+
		"other and back. The network is simulated; node, relay and peers are the real ones.\n\n"+
		"What does the NAT of each do? The node finds out by messages that any client\n"+
		"answers:\n\n", len(cast), sites(), 2*delay)
	return t
}

func (t *Text) say(format string, args ...any) { _, _ = fmt.Fprintf(t.w, format, args...) }

// Classified implements Audience.
func (t *Text) Classified(p Peer) {
	remark := ""
	if !p.OK {
		remark = ", WRONG: it is " + p.Expected.String()
	}
	t.say("  %-7s %-34s is %s%s\n  %7s mapping %s, filtering %s, seen at %v, after %d ms\n",
		p.Name, p.NAT, p.Class.LegacyName(), remark, "", p.Mapping, p.Filter, p.Outside, p.Millis)
	if t.peers++; t.peers == len(cast) {
		t.say("\nEach looks the others up by name, and plays a stream from them:\n\n")
	}
}

// Met implements Audience.
func (t *Text) Met(m Meeting) {
	t.met[[2]string{m.From, m.To}] = m
	remark := ""
	if !m.OK {
		remark = "   WRONG: expected " + m.Expected.String()
		t.failed++
	}
	pair := m.From + " → " + m.To
	if m.Path == None {
		t.say("  %-17s no meeting%s\n", pair, remark)
	} else {
		t.say("  %-17s %-8s %4d ms, %s, at %s%s\n", pair, m.Path, m.Millis, m.Strategy, m.Address, remark)
	}
	t.say("%s", wrap(m.Why, 20, 78))
}

// Limited implements Audience.
func (t *Text) Limited(l Limited) {
	t.limited = &l
}

// End tells the table, and whether all went as expected.
func (t *Text) End(err error) {
	if len(t.met) > 0 {
		t.table()
	}
	if l := t.limited; l != nil {
		remark := ""
		if !l.OK {
			remark = "   WRONG"
		}
		t.say("\nThe relay lets through %d kbit/s of each pair, each way. A stream that wants\n"+
			"more learns so from marked packets, before any is lost:\n\n  %-17s relayed %d kbit/s of %d kbit/s, queue %.0f ms, %d marked, %d lost%s\n",
			l.Limit/1000, l.From+" → "+l.To, l.Rate/1000, l.Limit/1000, l.Queue, l.Marked, l.Lost, remark)
	}
	if err == nil {
		t.say("\nAll went as expected.\n")
	}
}

// table says who met whom, the one who asked to the left.
func (t *Text) table() {
	t.say("\nWho met whom, by which strategy, in how many ms (<: the one\nabove asked):\n\n")
	line := strings.Repeat(" ", 8)
	for _, r := range cast[1:] {
		line += fmt.Sprintf("%-13s", r.name)
	}
	t.say("%s\n", strings.TrimRight(line, " "))
	for i, from := range cast[:len(cast)-1] {
		line = fmt.Sprintf("%-8s%s", from.name, strings.Repeat(" ", 13*i))
		for _, to := range cast[i+1:] {
			line += fmt.Sprintf("%-13s", t.cell(from.name, to.name))
		}
		t.say("%s\n", strings.TrimRight(line, " "))
	}
}

func (t *Text) cell(a, b string) string {
	m, ok := t.met[[2]string{a, b}]
	mark := ""
	if !ok {
		m, ok = t.met[[2]string{b, a}]
		mark = "<"
	}
	switch {
	case !ok:
		return "?"
	case m.Path == None:
		return "FAILED"
	}
	return fmt.Sprintf("%s%s %d", mark, m.Strategy, m.Millis)
}

// wrap breaks s into indented lines.
func wrap(s string, indent, width int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(s) {
		if column > 0 && column+1+len(word) > width {
			b.WriteByte('\n')
			column = 0
		}
		if column == 0 {
			b.WriteString(strings.Repeat(" ", indent))
			column = indent
		} else {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	if column > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

// JSON tells programs: an object for each event, one a line.
type JSON struct{ encoder *json.Encoder }

// NewJSON tells on w.
func NewJSON(w io.Writer) *JSON { return &JSON{json.NewEncoder(w)} }

// Classified implements Audience.
func (j *JSON) Classified(p Peer) {
	_ = j.encoder.Encode(struct {
		Event string `json:"event"`
		Peer
	}{"classified", p})
}

// Met implements Audience.
func (j *JSON) Met(m Meeting) {
	_ = j.encoder.Encode(struct {
		Event string `json:"event"`
		Meeting
	}{"met", m})
}

// Limited implements Audience.
func (j *JSON) Limited(l Limited) {
	_ = j.encoder.Encode(struct {
		Event string `json:"event"`
		Limited
	}{"limited", l})
}

// End is the last event.
func (j *JSON) End(err error) {
	end := struct {
		Event  string `json:"event"`
		OK     bool   `json:"ok"`
		Reason string `json:"reason,omitempty"`
	}{Event: "end", OK: err == nil}
	if err != nil {
		end.Reason = err.Error()
	}
	_ = j.encoder.Encode(end)
}
