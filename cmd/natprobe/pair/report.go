package pair

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// Path is how two met.
type Path string

// The paths there are.
const (
	Direct  Path = "direct"
	Relayed Path = "relayed"
	NotMet  Path = "not met"
)

// Report is what a run found out.
type Report struct {
	Schema   string  `json:"schema"`
	Server   string  `json:"server"`
	Path     Path    `json:"path"`
	Strategy string  `json:"strategy,omitzero"` // of the node
	Reason   string  `json:"reason,omitzero"`   // why it chose that, or why the two did not meet
	Advice   string  `json:"advice,omitzero"`
	Took     float64 `json:"tookMs,omitzero"` // from the call to the session, at the side that called

	Here  Side           `json:"here"`
	There Side           `json:"there"`
	Far   netip.AddrPort `json:"far,omitzero"`  // the other side as this one sees it
	Seen  netip.AddrPort `json:"seen,omitzero"` // this side as the other sees it

	RTT       RTT      `json:"rtt"`
	LoadedRTT RTT      `json:"loadedRtt"`          // under the load
	Asked     float64  `json:"askedBitsPerSecond"` // each way
	Out       Way      `json:"out"`
	In        Way      `json:"in"`
	Notes     []string `json:"notes,omitzero"`
}

// Schema names the form of a report.
const Schema = "natprobe/pair/1"

// Side is one host and its network, as the node told it.
type Side struct {
	ID        string           `json:"peerID,omitzero"`
	Host      string           `json:"host,omitzero"`
	Public    netip.AddrPort   `json:"public,omitzero"`
	Local     []netip.AddrPort `json:"local,omitzero"`
	Class     string           `json:"class,omitzero"`
	Mapping   string           `json:"mapping,omitzero"`
	Filtering string           `json:"filtering,omitzero"`
	Advice    string           `json:"advice,omitzero"`
}

// RTT is that of small messages there and back, in milliseconds.
type RTT struct {
	Least  float64 `json:"leastMs"`
	Median float64 `json:"medianMs"`
	Most   float64 `json:"mostMs"`
	Count  int     `json:"count"`
}

// Way is what became of the load in one direction.
type Way struct {
	Sent         int     `json:"sent"` // messages
	Received     int     `json:"received"`
	Loss         float64 `json:"loss"`          // share of the messages that did not come in time, though sent again
	FragmentLoss float64 `json:"fragmentLoss"`  // share of the packets lost on their way, as the sender saw it
	Rate         float64 `json:"bitsPerSecond"` // of payload, as received
	Jitter       float64 `json:"jitterMs"`      // RFC 3550 section 6.4.1
}

// WriteText writes the report for people: first line the verdict.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(&b, r.verdict())
	if r.Strategy != "" {
		line("strategy", "%s: %s", r.Strategy, r.Reason)
	} else if r.Reason != "" {
		line("reason", "%s", r.Reason)
	}
	if r.Advice != "" {
		line("advice", "%s", r.Advice)
	}
	seen, far := r.Seen, r.Far
	if r.Path == Relayed { // these are the relay's addresses
		seen, far = netip.AddrPort{}, netip.AddrPort{}
	}
	line("here", "%s", r.Here.text(seen))
	if r.There.Host != "" || r.There.Class != "" {
		line("there", "%s", r.There.text(far))
	}
	if r.RTT.Count > 0 {
		line("RTT", "%s", r.RTT.text())
	}
	if r.LoadedRTT.Count > 0 {
		line("under load", "%s", r.LoadedRTT.text())
	}
	if r.Out.Sent > 0 {
		line("out", "%s", r.Out.text(r.Asked))
	}
	if r.In.Sent > 0 {
		line("in", "%s", r.In.text(r.Asked))
	}
	for _, s := range []Side{r.Here, r.There} {
		if s.Advice != "" && r.Path != Direct {
			where := "here"
			if s.ID == r.There.ID {
				where = "there"
			}
			line("advice", "%s: %s", where, s.Advice)
		}
	}
	for _, n := range r.Notes {
		line("note", "%s", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) verdict() string {
	took := ""
	if r.Took > 0 {
		took = fmt.Sprintf(", %s after the call", time.Duration(r.Took*float64(time.Millisecond)).Round(time.Millisecond))
	}
	switch r.Path {
	case Direct:
		return fmt.Sprintf("met directly: %v%s", r.Far, took)
	case Relayed:
		return fmt.Sprintf("met through the relay of the node, %v%s", r.Far, took)
	case NotMet:
	}
	return "did not meet"
}

// text tells of a side, which the other sees at an address.
func (s Side) text(seen netip.AddrPort) string {
	parts := []string{}
	if s.Host != "" {
		parts = append(parts, s.Host)
	}
	if s.Class != "" {
		parts = append(parts, fmt.Sprintf("%s (mapping %s, filtering %s)", s.Class, s.Mapping, s.Filtering))
	} else {
		parts = append(parts, "its NAT is not known")
	}
	if s.Public.IsValid() {
		parts = append(parts, fmt.Sprintf("%v to the node", s.Public))
	}
	if seen.IsValid() && seen != s.Public {
		parts = append(parts, fmt.Sprintf("%v to the other side", seen))
	}
	return strings.Join(parts, ", ")
}

func (r RTT) text() string {
	return fmt.Sprintf("%.1f ms, %.1f to %.1f in %d tries", r.Median, r.Least, r.Most, r.Count)
}

func (w Way) text(asked float64) string {
	return fmt.Sprintf("%.0f kbit/s of %.0f, %.1f %% of the packets lost (%d of %d messages for good), jitter %.1f ms",
		w.Rate/1000, asked/1000, w.FragmentLoss*100, w.Sent-w.Received, w.Sent, w.Jitter)
}

// cleaned is what another host says of itself, fit to be shown.
func (s Side) cleaned() Side {
	for _, text := range []*string{&s.ID, &s.Host, &s.Class, &s.Mapping, &s.Filtering, &s.Advice} {
		*text = clean(*text)
	}
	s.Local = s.Local[:min(len(s.Local), maxLocal)]
	return s
}

// maxLocal bounds the addresses of the other host that a report has.
const maxLocal = 16

// maxMessages is what a load may have: more is not believed.
const maxMessages = MaxRate / 8 / payload * int(MaxTime/time.Second)

// share keeps what another host calls a share between nothing and all.
func share(f float64) float64 {
	if !(f >= 0) { // not a number is no share either
		return 0
	}
	return min(f, 1)
}

// cleaned is what another host says of its side, within what can be.
func (w Way) cleaned() Way {
	w.Sent = min(max(w.Sent, 0), maxMessages)
	w.Received = min(max(w.Received, 0), w.Sent)
	w.Loss, w.FragmentLoss = share(w.Loss), share(w.FragmentLoss)
	w.Rate, w.Jitter = max(w.Rate, 0), max(w.Jitter, 0)
	return w
}
