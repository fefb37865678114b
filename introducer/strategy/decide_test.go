package strategy

import (
	"net/netip"
	"strings"
	"testing"

	"pileus/natprobe"
)

var (
	nodeMain   = netip.MustParseAddrPort("192.0.2.1:1935")
	nodeSecond = netip.MustParseAddrPort("192.0.2.2:1935")

	addrA  = netip.MustParseAddrPort("198.51.100.1:5000")
	addrB  = netip.MustParseAddrPort("203.0.113.1:6000")
	addrA6 = netip.MustParseAddrPort("[2001:db8:a::1]:5006")
	addrB6 = netip.MustParseAddrPort("[2001:db8:b::1]:6006")
)

// types are the NATs of the lab, as a node with two addresses knows them.
var typeNames = []string{"N0", "N1", "N2", "N3", "N4", "N4i", "N5", "N6", "N7", "N8", "N11", "N11s", "N12", "unknown", "silent"}

func behaviorOf(name string) natprobe.Behavior {
	switch name {
	case "N0":
		return Typical(natprobe.Public)
	case "N1":
		return Typical(natprobe.Firewall)
	case "N2", "N2k":
		return Typical(natprobe.FullCone)
	case "N3", "N3r":
		return Typical(natprobe.AddressRestricted)
	case "N4", "N4i", "N4u", "N8": // which look the same from outside
		return Typical(natprobe.PortRestricted)
	case "N5", "N5i", "N5u", "N8x", "N12":
		return Typical(natprobe.SymmetricRandom)
	case "N5a":
		b := Typical(natprobe.SymmetricRandom)
		b.Mapping, b.Filtering, b.Allocation = natprobe.ADM, natprobe.ADF, natprobe.AllocationUnknown
		return b
	case "N6a":
		b := Typical(natprobe.SymmetricStepping)
		b.Filtering = natprobe.ADF
		return b
	case "N7s":
		b := Typical(natprobe.SymmetricOpenFilter)
		b.Allocation, b.Step = natprobe.Stepping, 1
		return b
	case "N6":
		return Typical(natprobe.SymmetricStepping)
	case "N7":
		return Typical(natprobe.SymmetricOpenFilter)
	case "N11":
		b := Typical(natprobe.Blocked)
		b.Reachable = []netip.AddrPort{nodeMain, nodeSecond}
		return b
	case "N11s":
		b := Typical(natprobe.Blocked)
		b.Reachable = []netip.AddrPort{nodeMain}
		return b
	case "silent":
		return Typical(natprobe.Silent)
	}
	return natprobe.Behavior{}
}

func sideOf(name string, addr, addr6 netip.AddrPort) Side {
	s := Side{Behavior: behaviorOf(name), Observed: addr, At: nodeMain, Second: nodeSecond}
	if name == "N12" {
		s.Proven = addr6
	}
	return s
}

func pairOf(a, b string) Pair {
	return Pair{Initiator: sideOf(a, addrA, addrA6), Target: sideOf(b, addrB, addrB6), RelayAvailable: true}
}

// mark is a plan in a few letters; see TestEveryPair.
func mark(p Plan) string {
	m := map[Strategy]string{Public: "o", Punch: "p", Lan: "l", Relay: "R", Refuse: "x"}[p.Strategy]
	if p.Strategy == Predict {
		m = []string{"", "i", "t", "b"}[p.Aim]
	}
	if !p.Sure {
		m += "?"
	}
	if len(p.Relay.Initiator) > 0 {
		m += "1"
	}
	if len(p.Relay.Target) > 0 {
		m += "2"
	}
	return m
}

// The plan for every ordered pair, a row an initiator: o public, p punch, R relay,
// x refuse; predict as i, t or b for the ports of the initiator, the target or both.
// "?" unsure; 1, 2: the relay meets the initiator, or the target, at addresses of the
// node that it reaches.
const everyPair = `
         N0  N1  N2  N3  N4  N4i N5  N6  N7  N8  N11 N11s N12 unknown silent
N0       o   o   o   o   o   o   o   o   o   o   R2  x    o   p?      p?
N1       o   p   o   p   p   p   R   t?  R   p   R2  x    R   p?      p?
N2       o   o   o   o   o   o   o   o   o   o   R2  x    o   p?      p?
N3       o   p   o   p   p   p   p   p   p   p   R2  x    p   p?      p?
N4       o   p   o   p   p   p   R   t?  R   p   R2  x    R   p?      p?
N4i      o   p   o   p   p   p   R   t?  R   p   R2  x    R   p?      p?
N5       o   R   o   p   R   R   R   R   R   R   R2  x    R   p?      p?
N6       o   i?  o   p   i?  i?  R   b?  R   i?  R2  x    R   p?      p?
N7       o   R   o   p   R   R   R   R   p   R   R2  x    R   R?      p?
N8       o   p   o   p   p   p   R   t?  R   p   R2  x    R   p?      p?
N11      R1  R1  R1  R1  R1  R1  R1  R1  R1  R1  R12 x    R1  R1      x
N11s     R1  R1  R1  R1  R1  R1  R1  R1  R1  R1  R12 x    R1  R1      x
N12      o   R   o   p   R   R   R   R   R   R   R2  x    p   p?      p?
unknown  p?  p?  p?  p?  p?  p?  p?  p?  R?  p?  R2  x    p?  p?      p?
silent   p?  p?  p?  p?  p?  p?  p?  p?  R?  p?  R2  x    p?  p?      p?
`

func TestEveryPair(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(everyPair), "\n")
	targets := strings.Fields(lines[0])
	if len(targets) != len(typeNames) || len(lines) != 1+len(typeNames) {
		t.Fatalf("the table has %d rows and %d columns, for %d types", len(lines)-1, len(targets), len(typeNames))
	}
	for _, line := range lines[1:] {
		row := strings.Fields(line)
		for i, want := range row[1:] {
			plan := Decide(pairOf(row[0], targets[i]))
			if got := mark(plan); got != want {
				t.Errorf("%s to %s: %q, want %q: %s", row[0], targets[i], got, want, plan.Why)
			}
			check(t, plan)
		}
	}
}

// check holds what every plan obeys.
func check(t *testing.T, p Plan) {
	t.Helper()
	none := p.Strategy == Relay || p.Strategy == Refuse
	if none != (len(p.Redirects) == 0) && p.Relay.Use == RelayNone || none && len(p.Redirects)+len(p.Replies) > 0 {
		t.Errorf("%v names %v and %v", p.Strategy, p.Redirects, p.Replies)
	}
	if len(p.Redirects) > MaxCandidates || len(p.Replies) > MaxCandidates {
		t.Errorf("%d and %d candidates", len(p.Redirects), len(p.Replies))
	}
	if (p.Strategy == Relay) != (p.Relay.Use == RelayOnly) || p.Sure && p.Relay.Use == RelayBeside {
		t.Errorf("%v, sure %v, uses the relay %v", p.Strategy, p.Sure, p.Relay.Use)
	}
	if p.HoldReplies && (!p.Sure || p.Pace.Times == 0 || len(p.Opening) > 1) || !p.HoldReplies && p.Opening != nil {
		t.Errorf("opens by %v, holds replies %v, paced %+v", p.Opening, p.HoldReplies, p.Pace)
	}
	if (p.Strategy == Predict) != (p.Aim != 0) {
		t.Errorf("%v aims at %v", p.Strategy, p.Aim)
	}
	if len(p.Why) < 20 || p.Pace.Times > mostTimes || p.Pace.Times*len(p.Redirects) > mostRepeats {
		t.Errorf("paced %+v, because %q", p.Pace, p.Why)
	}
}

// With two node addresses 77 of the 121 ordered pairs meet and 44 are relayed;
// with one, 110 connect.
func TestCounts(t *testing.T) {
	names := []string{"N0", "N1", "N2", "N3", "N4", "N4i", "N5", "N6", "N7", "N8", "N11"}
	direct, relayed, withOne, verdicts := 0, 0, 0, 0
	for _, a := range names {
		for _, b := range names {
			p := pairOf(a, b)
			switch plan := Decide(p); plan.Strategy {
			case Relay:
				relayed++
			case Refuse:
			default:
				direct++
			}
			if Direct(p.Initiator.Behavior.Class(), p.Target.Behavior.Class()).Path == PathDirect {
				verdicts++
			}
			for _, s := range []*Side{&p.Initiator, &p.Target} {
				s.Second = netip.AddrPort{}
				if s.Behavior.Class() == natprobe.Blocked {
					s.Behavior.Reachable = []netip.AddrPort{nodeMain}
				}
			}
			if Decide(p).Strategy != Refuse {
				withOne++
			}
		}
	}
	if direct != 77 || relayed != 44 || withOne != 110 || verdicts != direct {
		t.Errorf("%d direct (%d by class), %d relayed, %d connect with one address", direct, verdicts, relayed, withOne)
	}
}

// Until there is a relay, pairs that need one try all the same, and say so.
func TestWithoutRelay(t *testing.T) {
	for _, a := range typeNames {
		for _, b := range typeNames {
			p := pairOf(a, b)
			want := Decide(p)
			p.RelayAvailable = false
			got := Decide(p)
			check(t, got)
			needs := want.Sure && (want.Strategy == Relay || want.Strategy == Refuse)
			switch {
			case needs && (got.Strategy != Punch || !got.NeedsRelay || !strings.Contains(got.Why, "it needs a relay, and there is none")):
				t.Errorf("%s to %s: %v, needs a relay: %v: %s", a, b, got.Strategy, got.NeedsRelay, got.Why)
			case !needs && want.Sure && (got.Strategy != want.Strategy || got.NeedsRelay):
				t.Errorf("%s to %s: %v, with a relay %v", a, b, got.Strategy, want.Strategy)
			case got.Relay.Use != RelayNone || len(got.Relay.Initiator)+len(got.Relay.Target) > 0:
				t.Errorf("%s to %s: names a relay", a, b)
			}
		}
	}
}

// Only who takes packets from anybody at a port it does not answer from is better
// off without an early answer.
func TestHeldReplies(t *testing.T) {
	for target, opening := range map[string]int{"N0": 0, "N2": 0, "N3": 1} {
		for _, initiator := range typeNames {
			p := Decide(pairOf(initiator, target))
			if want := initiator == "N7"; p.HoldReplies != want || want && len(p.Opening) != opening {
				t.Errorf("%s to %s: holds %v, opens by %v", initiator, target, p.HoldReplies, p.Opening)
			}
		}
	}
}

func TestDirect(t *testing.T) {
	for _, a := range natprobe.Classes() {
		if got := Typical(a).Class(); got != a {
			t.Errorf("the typical %v is %v", a, got)
		}
		for _, b := range natprobe.Classes() {
			v, back := Direct(a, b), Direct(b, a)
			if v.Why == "" {
				t.Errorf("%v and %v: no reason", a, b)
			}
			// Who initiates decides only where one answers no introductions.
			if v.Path != back.Path && a != natprobe.Silent && b != natprobe.Silent {
				t.Errorf("%v and %v: %v one way, %v the other", a, b, v.Path, back.Path)
			}
		}
	}
	for _, c := range []struct {
		a, b natprobe.Class
		path Path
		why  string
	}{
		{natprobe.PortRestricted, natprobe.PortRestricted, PathDirect, "both keep one port"},
		{natprobe.PortRestricted, natprobe.SymmetricStepping, PathDirect, "the target's NAT takes port after port"},
		{natprobe.SymmetricRandom, natprobe.PortRestricted, PathRelay, "a port is chosen for each destination"},
		{natprobe.SymmetricOpenFilter, natprobe.PortRestricted, PathRelay, "one direction only"},
		{natprobe.Public, natprobe.Blocked, PathRelay, "the target's UDP leaves only towards some"},
		{natprobe.PortRestricted, natprobe.ClassUnknown, PathUnsure, "too little is known"},
	} {
		if v := Direct(c.a, c.b); v.Path != c.path || !strings.Contains(v.Why, c.why) {
			t.Errorf("%v to %v: %v, %q", c.a, c.b, v.Path, v.Why)
		}
	}
}
