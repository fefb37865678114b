package report

import (
	"fmt"
	"net/netip"

	"pileus/natprobe"
)

// heardUDP reports whether anything came back over UDP, or from a server itself, though
// it was no answer: then it is not UDP that is missing.
func (r *Report) heardUDP() bool {
	for _, run := range r.Runs {
		for _, h := range run.Heard {
			if h.Kind != HeardICMP || !h.From.Addr().IsValid() || run.asked(h.From.Addr()) {
				return true
			}
		}
	}
	d := &r.Depth
	if d.Node != nil && d.Node.Works == natprobe.Yes || d.IPv6 != nil && d.IPv6.Seen.IsValid() {
		return true
	}
	for _, s := range d.Services {
		if s.Name == OverUDP && s.Works == natprobe.Yes {
			return true
		}
	}
	return false
}

// OverUDP is the name of the one service that UDP carries, beside the servers' own.
const OverUDP = "TURN over UDP"

// asked reports whether the run asked at that address.
func (r *Run) asked(addr netip.Addr) bool {
	if r.Server.Addr() == addr {
		return true
	}
	for _, o := range r.Observations {
		if o.Kind == natprobe.KindControlMapping && o.Node.Addr() == addr {
			return true
		}
	}
	return false
}

// heardFirst says what came back where no server told anything.
func (r *Report) heardFirst() string {
	for _, run := range r.Runs {
		for _, h := range run.Heard {
			if h.Kind != HeardICMP || run.asked(h.From.Addr()) || !h.From.Addr().IsValid() {
				return h.String()
			}
		}
	}
	d := &r.Depth
	switch {
	case d.Node != nil && d.Node.Works == natprobe.Yes:
		return fmt.Sprintf("%v answers to RTMFP, and %v to no STUN", d.Node.At, r.Server)
	case d.IPv6 != nil && d.IPv6.Seen.IsValid():
		return fmt.Sprintf("%v is silent over IPv4, and answers over IPv6: run natprobe with -6", r.Server)
	}
	return fmt.Sprintf("TURN answers, and %v does not", r.Server)
}

// refusedBy is who says that packets are not let through, behind a verdict.
func (r *Report) refusedBy() string {
	for _, run := range r.Runs {
		for _, h := range run.Heard {
			if h.Kind == HeardICMP {
				return "; " + h.String()
			}
		}
	}
	return ""
}

func (h Heard) String() string {
	from := h.From.String()
	switch {
	case !h.From.Addr().IsValid():
		return h.Text
	case h.From.Port() == 0:
		from = h.From.Addr().String()
	}
	verb := "sends"
	if h.Kind == HeardICMP {
		verb = "says"
	}
	return fmt.Sprintf("%s %s: %s", from, verb, h.Text)
}

// maxHeardLines bounds what a report for people tells of packets that answer nothing.
const maxHeardLines = 4

// heardLines are what came besides.
func (r *Report) heardLines(line liner) {
	told := 0
	for _, run := range r.Runs {
		for _, h := range run.Heard {
			if told++; told <= maxHeardLines {
				line("came", "%v (%d)", h, max(1, h.Count))
			}
		}
	}
	if told > maxHeardLines {
		line("came", "and %d other kinds of packets", told-maxHeardLines)
	}
}
