package page

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pileus/natprobe/report"
)

// Sizes of the picture, in pixels.
const (
	rowHeight  = 15
	laneWidth  = 18
	timeWidth  = 76
	natWidth   = 60
	textWidth  = 620
	headHeight = 150
	arrowHead  = 5

	maxRows  = 400 // packets shown; the trace in the JSON has all
	maxLanes = 14  // on each side; further addresses share the last
)

// picture is a sequence diagram: this host's sockets on the left, who they talk to
// on the right, the NAT between, a row a packet.
type picture struct {
	Width, Height int
	NAT           int // its middle
	NATWidth      int
	Head          int
	Lanes         []lane
	Rows          []row
	Left          int // packets that are not shown
	Sent, Came    int
}

type lane struct {
	X    int
	Name string
	Far  bool
}

type row struct {
	Y          int
	X1, X2     int
	Head       string // points of the arrow's head
	Sent       bool
	After      string
	Text, Full string
	TextX      int
}

// draw makes the picture of a trace; nil without one.
func draw(trace []report.Event) *picture {
	if len(trace) == 0 {
		return nil
	}
	events := slices.SortedStableFunc(slices.Values(trace), func(a, b report.Event) int { return a.At.Compare(b.At) })
	p := &picture{Head: headHeight, NATWidth: natWidth / 3}
	for _, e := range events {
		if e.Sent {
			p.Sent++
		} else {
			p.Came++
		}
	}
	began := events[0].At
	if len(events) > maxRows {
		p.Left = len(events) - maxRows
		events = events[:maxRows]
	}
	near := lanes(events, func(e report.Event) netip.AddrPort { return e.Local })
	far := lanes(events, func(e report.Event) netip.AddrPort { return e.Peer })
	nearX := func(i int) int { return timeWidth + laneWidth/2 + i*laneWidth }
	p.NAT = nearX(len(near)-1) + laneWidth/2 + natWidth/2
	farX := func(i int) int { return p.NAT + natWidth/2 + laneWidth/2 + i*laneWidth }
	textX := farX(len(far)-1) + laneWidth
	p.Width, p.Height = textX+textWidth, headHeight+(len(events)+1)*rowHeight
	for i, a := range near {
		p.Lanes = append(p.Lanes, lane{X: nearX(i), Name: nameOf(a, i)})
	}
	for i, a := range far {
		p.Lanes = append(p.Lanes, lane{X: farX(i), Name: nameOf(a, i), Far: true})
	}
	for i, e := range events {
		r := row{
			Y: headHeight + (i+1)*rowHeight, Sent: e.Sent, TextX: textX, Text: e.Text,
			X1: nearX(indexOf(near, e.Local)), X2: farX(indexOf(far, e.Peer)),
			After: fmt.Sprintf("%.0f ms", float64(e.At.Sub(began))/float64(time.Millisecond)),
			Full:  fmt.Sprintf("%v, %v, %d bytes: %s", e.Local, e.Peer, e.Bytes, e.Text),
		}
		tip, back := r.X2, r.X2-arrowHead
		if !e.Sent {
			tip, back = r.X1, r.X1+arrowHead
		}
		r.Head = fmt.Sprintf("%d,%d %d,%d %d,%d", tip, r.Y, back, r.Y-arrowHead/2-1, back, r.Y+arrowHead/2+1)
		p.Rows = append(p.Rows, r)
	}
	return p
}

// lanes lists the addresses in the order in which they first appear.
func lanes(events []report.Event, of func(report.Event) netip.AddrPort) []netip.AddrPort {
	var all []netip.AddrPort
	for _, e := range events {
		if !slices.Contains(all, of(e)) && len(all) < maxLanes {
			all = append(all, of(e))
		}
	}
	return all
}

// indexOf puts those without a lane of their own into the last.
func indexOf(lanes []netip.AddrPort, a netip.AddrPort) int {
	if i := slices.Index(lanes, a); i >= 0 {
		return i
	}
	return len(lanes) - 1
}

func nameOf(a netip.AddrPort, i int) string {
	if i == maxLanes-1 {
		return a.String() + " and others"
	}
	return a.String()
}
