package strategy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pileus/natprobe"
	"pileus/rtmfp/wire"
)

func ports(list ...string) (out []netip.AddrPort) {
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// text is addresses as a table writes them.
func text(addrs []wire.Address) string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.AddrPort.String())
	}
	return strings.Join(out, " ")
}

func withHairpin(name string, a natprobe.Answer) natprobe.Behavior {
	b := behaviorOf(name)
	b.Hairpin.Answer = a
	return b
}

// The same-site types N9 and N10: behind one public address.
func TestSameSite(t *testing.T) {
	const public = "203.0.113.9"
	localA, localB := ports("192.168.1.2:5000"), ports("192.168.1.3:6000", "[fd00::3]:6006")
	for _, c := range []struct {
		name               string
		initiator, target  natprobe.Behavior
		localA, localB     []netip.AddrPort
		mark               string // with a relay
		redirects, replies string
		why                string
	}{
		{
			"N9, one LAN, no hairpin", withHairpin("N4", natprobe.No), withHairpin("N4", natprobe.No), localA, localB,
			"l?", "192.168.1.3:6000 [fd00::3]:6006", "192.168.1.2:5000", "local addresses come first",
		},
		{
			"N10, one LAN, hairpin", withHairpin("N4", natprobe.Yes), withHairpin("N4", natprobe.Yes), localA, localB,
			"l", "192.168.1.3:6000 [fd00::3]:6006 203.0.113.9:6000", "192.168.1.2:5000 203.0.113.9:5000", "",
		},
		{
			"hairpin unknown", behaviorOf("N4"), behaviorOf("N4"), localA, localB,
			"l?", "192.168.1.3:6000 [fd00::3]:6006 203.0.113.9:6000", "192.168.1.2:5000 203.0.113.9:5000", "too little is known",
		},
		{
			"one knows of the hairpin", behaviorOf("N4"), withHairpin("N4", natprobe.Yes), localA, localB,
			"l", "192.168.1.3:6000 [fd00::3]:6006 203.0.113.9:6000", "192.168.1.2:5000 203.0.113.9:5000", "",
		},
		{
			"symmetric, one LAN", withHairpin("N5", natprobe.Yes), withHairpin("N5", natprobe.Yes), localA, localB,
			"l?", "192.168.1.3:6000 [fd00::3]:6006", "192.168.1.2:5000", "a port is chosen for each destination",
		},
		{
			"symmetric, nothing reported", withHairpin("N5", natprobe.Yes), withHairpin("N5", natprobe.Yes), nil, nil,
			"R", "", "", "a port is chosen for each destination",
		},
		{
			"stepping: whose port is next, nobody knows", withHairpin("N6", natprobe.Yes), withHairpin("N6", natprobe.Yes), nil, nil,
			"R", "", "", "",
		},
		{
			"two segments, hairpin: nothing may be named", withHairpin("N4", natprobe.Yes), withHairpin("N4", natprobe.Yes), nil, nil,
			"p", "203.0.113.9:6000", "203.0.113.9:5000", "",
		},
		{
			"two segments or two homes, no hairpin", withHairpin("N4", natprobe.No), withHairpin("N4", natprobe.No), nil, nil,
			"R", "", "", "does not turn packets around",
		},
		{
			"UDP blocked, one LAN", behaviorOf("N11"), behaviorOf("N11"), localA, localB,
			"l?12", "192.168.1.3:6000 [fd00::3]:6006", "192.168.1.2:5000", "",
		},
		{
			"only the target reports", withHairpin("N4", natprobe.No), withHairpin("N4", natprobe.No), nil, localB,
			"l?", "192.168.1.3:6000 [fd00::3]:6006", "", "",
		},
		{
			"unknown",
			natprobe.Behavior{},
			natprobe.Behavior{},
			localA, localB,
			"l?", "192.168.1.3:6000 [fd00::3]:6006 203.0.113.9:6000", "192.168.1.2:5000 203.0.113.9:5000", "",
		},
		{
			"one public host, two clients", behaviorOf("N0"), behaviorOf("N0"), nil, nil,
			"o", "203.0.113.9:6000", "203.0.113.9:5000", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Pair{
				Initiator:      Side{Behavior: c.initiator, Observed: netip.MustParseAddrPort(public + ":5000"), Reported: c.localA, At: nodeMain, Second: nodeSecond},
				Target:         Side{Behavior: c.target, Observed: netip.MustParseAddrPort(public + ":6000"), Reported: c.localB, At: nodeMain, Second: nodeSecond},
				RelayAvailable: true,
			}
			plan := Decide(p)
			check(t, plan)
			if got := mark(plan); got != c.mark || text(plan.Redirects) != c.redirects || text(plan.Replies) != c.replies {
				t.Errorf("%s: redirects %s; replies %s", got, text(plan.Redirects), text(plan.Replies))
			}
			if !strings.Contains(plan.Why, c.why) {
				t.Errorf("because %s", plan.Why)
			}
			if plan.Strategy == Lan && !plan.Ordered {
				t.Error("local addresses would not come first")
			}
			p.RelayAvailable = false
			plan = Decide(p)
			check(t, plan)
			if len(plan.Redirects) == 0 || len(plan.Replies) == 0 {
				t.Errorf("without a relay: redirects %s; replies %s", text(plan.Redirects), text(plan.Replies))
			}
		})
	}
}

// Two sites that number their networks alike: mostly strangers, perhaps one site
// with two ways out.
func TestLikeNumberedNetworks(t *testing.T) {
	p := pairOf("N4", "N4")
	p.Initiator.Reported, p.Target.Reported = ports("192.168.1.2:5000"), ports("192.168.1.3:6000")
	plan := Decide(p)
	if got := mark(plan) + ": " + text(plan.Redirects); got != "p: 203.0.113.1:6000 192.168.1.3:6000" {
		t.Error(got, plan.Why)
	}
	p = pairOf("N6", "N6")
	p.Initiator.Reported, p.Target.Reported = ports("192.168.1.2:5000"), ports("192.168.1.3:6000")
	plan = Decide(p)
	if n := len(plan.Redirects); plan.Strategy != Predict || plan.Redirects[n-1].AddrPort != p.Target.Reported[0] {
		t.Errorf("%v: %s", plan.Strategy, text(plan.Redirects))
	}
	p = pairOf("N5", "N5")
	p.Initiator.Reported, p.Target.Reported = ports("192.168.1.2:5000"), ports("192.168.1.3:6000")
	plan = Decide(p)
	if got := mark(plan) + ": " + text(plan.Redirects); got != "l?: 192.168.1.3:6000" || plan.Relay.Use != RelayBeside {
		t.Error(got, plan.Why)
	}
}

func TestFamilies(t *testing.T) {
	four := func(name string, a netip.AddrPort) Side { return Side{Behavior: behaviorOf(name), Observed: a} }
	both := func(s Side, a6 netip.AddrPort) Side { s.Proven = a6; return s }
	for _, c := range []struct {
		name               string
		initiator, target  Side
		mark               string
		redirects, replies string
		why                string
	}{
		{
			"proven on both: IPv6 first", both(four("N4", addrA), addrA6), both(four("N4", addrB), addrB6),
			"p", "[2001:db8:b::1]:6006 203.0.113.1:6000", "[2001:db8:a::1]:5006 198.51.100.1:5000", "over IPv6",
		},
		{
			"N12 to N12: IPv4 would take a relay", both(four("N12", addrA), addrA6), both(four("N12", addrB), addrB6),
			"p", "[2001:db8:b::1]:6006", "[2001:db8:a::1]:5006", "over IPv6",
		},
		{
			"a one-way path over IPv4 is not named", both(four("N7", addrA), addrA6), both(four("N4", addrB), addrB6),
			"p", "[2001:db8:b::1]:6006", "[2001:db8:a::1]:5006", "over IPv6",
		},
		{
			"proven on one: IPv4", both(four("N4", addrA), addrA6), four("N4", addrB),
			"p", "203.0.113.1:6000", "198.51.100.1:5000", "",
		},
		{
			"prediction is not needed", both(four("N6", addrA), addrA6), both(four("N6", addrB), addrB6),
			"p", "[2001:db8:b::1]:6006", "[2001:db8:a::1]:5006", "over IPv6",
		},
		{
			"sessions over IPv6", four("N1", addrA6), four("N1", addrB6),
			"p", "[2001:db8:b::1]:6006", "[2001:db8:a::1]:5006", "both keep one port",
		},
		{
			"one's session over IPv6, the other proven there", four("N1", addrA6), both(four("N5", addrB), addrB6),
			"p", "[2001:db8:b::1]:6006", "[2001:db8:a::1]:5006", "over IPv6",
		},
		{
			"sessions over IPv6, IPv4 proven", both(four("N1", addrA6), addrA), both(four("N1", addrB6), addrB),
			"p", "[2001:db8:b::1]:6006 203.0.113.1:6000", "[2001:db8:a::1]:5006 198.51.100.1:5000", "",
		},
		{"nothing in common", four("N4", addrA), four("N1", addrB6), "R", "", "", "no address family in common"},
		{
			"unknown, but proven there", both(four("unknown", addrA), addrA6), both(four("unknown", addrB), addrB6),
			"p", "[2001:db8:b::1]:6006", "[2001:db8:a::1]:5006", "over IPv6",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Pair{Initiator: c.initiator, Target: c.target, RelayAvailable: true}
			plan := Decide(p)
			check(t, plan)
			if got := mark(plan); got != c.mark || text(plan.Redirects) != c.redirects || text(plan.Replies) != c.replies {
				t.Errorf("%s: redirects %s; replies %s", got, text(plan.Redirects), text(plan.Replies))
			}
			if !strings.Contains(plan.Why, c.why) {
				t.Errorf("because %s", plan.Why)
			}
			if two := strings.Count(c.redirects, " ") == 1; plan.Ordered != two {
				t.Errorf("ordered: %v", plan.Ordered)
			}
		})
	}
}

// An initiator without a session is unknown, whatever is said of it; it gets one
// answer, and none of its ports is predicted.
func TestAnonymous(t *testing.T) {
	for _, target := range typeNames {
		p := pairOf("N6", target)
		p.Initiator.Anonymous = true
		p.Initiator.Reported, p.Initiator.Proven = ports("10.0.0.1:1"), addrA6
		plan := Decide(p)
		check(t, plan)
		if plan.Sure && target != "N11" && target != "N11s" {
			t.Errorf("to %s: sure", target)
		}
		if plan.Pace.Times != 0 || plan.Relay.Rebind || len(plan.Relay.Initiator) > 0 || plan.Aim&AimInitiator != 0 {
			t.Errorf("to %s: %+v", target, plan)
		}
		for _, a := range plan.Replies {
			if a.AddrPort != addrA {
				t.Errorf("to %s: replies to %v", target, a.AddrPort)
			}
		}
		if !strings.Contains(plan.Why, "has no session") {
			t.Errorf("to %s: because %s", target, plan.Why)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		a, b     string
		failures int
		mark     string
	}{
		{"N4", "N4", 0, "p"},
		{"N4", "N4", 1, "p?"},
		{"N4", "N4", 2, "p?"},
		{"N4", "N4", 3, "R?"},
		{"N0", "N4", 1, "o?"},
		{"N0", "N4", 3, "R?"},
		{"N4", "N6", 0, "t?"},
		{"N4", "N6", 1, "t?"},
		{"N4", "N6", 3, "R?"},
		{"N4", "N5", 1, "R?"},
		{"N4", "unknown", 0, "p?"},
		{"N4", "unknown", 1, "t?"}, // perhaps it steps
		{"N4", "unknown", 2, "p?"},
		{"unknown", "unknown", 1, "t?"},
		{"N4", "silent", 1, "p?"},
		{"N4", "silent", 3, "p?"}, // no relay would be answered
	} {
		p := pairOf(c.a, c.b)
		p.Failures = c.failures
		plan := Decide(p)
		check(t, plan)
		if got := mark(plan); got != c.mark {
			t.Errorf("%s to %s after %d: %s, want %s: %s", c.a, c.b, c.failures, got, c.mark, plan.Why)
		}
		if failed := strings.Contains(plan.Why, "it failed lately"); failed != (c.failures > 0) {
			t.Errorf("%s to %s after %d: because %s", c.a, c.b, c.failures, plan.Why)
		}
	}
	// Without a relay, no two tries in a row are the same.
	for _, b := range []string{"unknown", "N6"} {
		p := pairOf("N4", b)
		p.RelayAvailable = false
		last := ""
		for p.Failures = range 3 {
			plan := Decide(p)
			check(t, plan)
			now := mark(plan) + text(plan.Redirects)
			if now == last {
				t.Errorf("N4 to %s after %d: again %s", b, p.Failures, now)
			}
			last = now
		}
	}
}

func TestPrediction(t *testing.T) {
	type change func(*Pair)
	for _, c := range []struct {
		name               string
		a, b               string
		change             change
		redirects, replies string
	}{
		{
			"the fresh FIHello takes a port", "N4", "N6", nil,
			"203.0.113.1:6002 203.0.113.1:6003 203.0.113.1:6004 203.0.113.1:6005 203.0.113.1:6000", "198.51.100.1:5000",
		},
		{
			"the newest mapping counts", "N4", "N6", func(p *Pair) { p.Target.Latest = netip.MustParseAddrPort("203.0.113.1:6010") },
			"203.0.113.1:6012 203.0.113.1:6013 203.0.113.1:6014 203.0.113.1:6015 203.0.113.1:6000", "198.51.100.1:5000",
		},
		{
			"a second wave begins after the fresh one", "N4", "N6", func(p *Pair) {
				p.Target.Next, p.Target.Named = netip.MustParseAddrPort("203.0.113.1:6020"), 1
			},
			"203.0.113.1:6021 203.0.113.1:6022 203.0.113.1:6023 203.0.113.1:6024 203.0.113.1:6000", "198.51.100.1:5000",
		},
		{
			"only the side that steps", "N6", "N4", nil,
			"203.0.113.1:6000", "198.51.100.1:5002 198.51.100.1:5003 198.51.100.1:5004 198.51.100.1:5005 198.51.100.1:5000",
		},
		{
			"both, in the same order", "N6", "N6", nil,
			"203.0.113.1:6002 203.0.113.1:6003 203.0.113.1:6004 203.0.113.1:6005", "198.51.100.1:5002 198.51.100.1:5003 198.51.100.1:5004 198.51.100.1:5005",
		},
		{
			"both, after what the first wave cost", "N6", "N6", func(p *Pair) {
				p.Initiator.Next, p.Initiator.Named = netip.MustParseAddrPort("198.51.100.1:5001"), 4
				p.Target.Next, p.Target.Named = netip.MustParseAddrPort("203.0.113.1:6001"), 4
				p.MaxCandidates = 3
			},
			"203.0.113.1:6006 203.0.113.1:6008 203.0.113.1:6010", "198.51.100.1:5006 198.51.100.1:5007 198.51.100.1:5008",
		},
		{
			"downwards by two", "N4", "N6", func(p *Pair) { p.Target.Behavior.Step, p.MaxCandidates = -2, 3 },
			"203.0.113.1:5996 203.0.113.1:5994 203.0.113.1:6000", "198.51.100.1:5000",
		},
		{
			"around the end of a block", "N4", "N6", func(p *Pair) { p.Target.Behavior.Range, p.MaxCandidates = [2]uint16{5900, 6002}, 4 },
			"203.0.113.1:6002 203.0.113.1:5900 203.0.113.1:5901 203.0.113.1:6000", "198.51.100.1:5000",
		},
		{
			"around the end of all ports", "N4", "N6", func(p *Pair) {
				p.Target.Latest, p.MaxCandidates = netip.MustParseAddrPort("203.0.113.1:65533"), 3
			},
			"203.0.113.1:65535 203.0.113.1:1024 203.0.113.1:6000", "198.51.100.1:5000",
		},
		{
			"others take ports: a wider window", "N4", "N6", func(p *Pair) { p.Target.Behavior.Jitter = 1 },
			"203.0.113.1:6002 203.0.113.1:6003 203.0.113.1:6004 203.0.113.1:6005 203.0.113.1:6006 203.0.113.1:6007 203.0.113.1:6000", "198.51.100.1:5000",
		},
		{
			"predicted before local", "N4", "N6", func(p *Pair) {
				p.Target.Reported, p.MaxCandidates = ports("192.168.1.3:6000"), 4
			},
			"203.0.113.1:6002 203.0.113.1:6003 203.0.113.1:6004 203.0.113.1:6000", "198.51.100.1:5000",
		},
		{
			"one candidate", "N4", "N6", func(p *Pair) { p.MaxCandidates = 1 }, "203.0.113.1:6002", "198.51.100.1:5000",
		},
		{
			"no step needed: its filter knows addresses, not ports", "N6", "N3", nil, "203.0.113.1:6000", "198.51.100.1:5000",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pairOf(c.a, c.b)
			if c.change != nil {
				c.change(&p)
			}
			plan := Decide(p)
			check(t, plan)
			if text(plan.Redirects) != c.redirects || text(plan.Replies) != c.replies {
				t.Errorf("redirects %s\nreplies %s", text(plan.Redirects), text(plan.Replies))
			}
			if ordered := plan.Aim&AimInitiator != 0; plan.Ordered != ordered {
				t.Errorf("ordered: %v", plan.Ordered)
			}
		})
	}
}

func TestCandidateLimits(t *testing.T) {
	p := pairOf("N4", "N6")
	p.Target.Behavior.Jitter = 200
	for _, c := range []struct{ limit, failures, want int }{
		{0, 0, DefaultCandidates},
		{0, 1, 2 * DefaultCandidates},
		{0, 9, MaxCandidates},
		{12, 0, 12},
		{12, 2, 12},
		{1000, 0, MaxCandidates},
	} {
		p.MaxCandidates, p.Failures, p.RelayAvailable = c.limit, c.failures, false
		if plan := Decide(p); len(plan.Redirects) != c.want {
			t.Errorf("limit %d, %d failures: %d candidates, want %d", c.limit, c.failures, len(plan.Redirects), c.want)
		}
	}
}

// What one server address can tell is enough for some pairs.
func TestPartlyKnown(t *testing.T) {
	yes, no := natprobe.Finding{Answer: natprobe.Yes}, natprobe.Finding{Answer: natprobe.No}
	one := func(m natprobe.Mapping, f natprobe.Filtering) natprobe.Behavior {
		return natprobe.Behavior{Public: no, AnswersIntroductions: yes, BlockedRoutes: no, Mapping: m, Filtering: f}
	}
	for _, c := range []struct {
		name string
		a, b natprobe.Behavior
		mark string
	}{
		{"keeps or not, to a public host", one(natprobe.MappingNotAPDM, natprobe.APDF), behaviorOf("N0"), "o"},
		{"keeps or not, to an address-restricted one", one(natprobe.MappingNotAPDM, natprobe.APDF), behaviorOf("N3"), "p"},
		{"keeps or not, to a home router", one(natprobe.MappingNotAPDM, natprobe.APDF), behaviorOf("N4"), "p?"},
		{"filter unknown, both keep", one(natprobe.EIM, natprobe.FilteringUnknown), one(natprobe.EIM, natprobe.FilteringUnknown), "p"},
		{"filter half known, to a symmetric one", behaviorOf("N5"), one(natprobe.EIM, natprobe.FilteringNotAPDF), "p"},
		{"filter half known the other way", behaviorOf("N5"), one(natprobe.EIM, natprobe.FilteringNotEIF), "p?"},
		{"steps or not, to a home router", one(natprobe.APDM, natprobe.APDF), behaviorOf("N4"), "i?"},
		{"changes, strangers pass, to unknown", behaviorOf("N7"), natprobe.Behavior{}, "R?"},
		{"public, filter unknown, to a home router", natprobe.Behavior{Public: yes, Mapping: natprobe.EIM}, behaviorOf("N4"), "p"},
	} {
		p := pairOf("unknown", "unknown")
		p.Initiator.Behavior, p.Target.Behavior = c.a, c.b
		plan := Decide(p)
		check(t, plan)
		if got := mark(plan); got != c.mark {
			t.Errorf("%s: %s, want %s: %s", c.name, got, c.mark, plan.Why)
		}
	}
}

func TestRelayMeetsRestrictedPeersWhereTheyReachIt(t *testing.T) {
	p := pairOf("N4", "N11")
	elsewhere := netip.MustParseAddrPort("192.0.2.1:443")
	p.Target.Behavior.Reachable = []netip.AddrPort{nodeMain, elsewhere}
	if plan := Decide(p); !slices.Equal(plan.Relay.Target, []netip.AddrPort{elsewhere}) {
		t.Errorf("met at %v", plan.Relay.Target)
	}
	p.Target.At = elsewhere // its session is there
	if plan := Decide(p); !slices.Equal(plan.Relay.Target, []netip.AddrPort{nodeMain}) {
		t.Errorf("met at %v", plan.Relay.Target)
	}
	// As an initiator it may be met where it asks, but is not: its calls and those to
	// it share one address.
	p = pairOf("N11", "N4")
	p.Initiator.At = elsewhere
	if plan := Decide(p); !slices.Equal(plan.Relay.Initiator, []netip.AddrPort{nodeMain, nodeSecond, elsewhere}) {
		t.Errorf("met at %v", plan.Relay.Initiator)
	}
	p = pairOf("N11", "N11")
	if plan := Decide(p); !slices.Equal(plan.Relay.Initiator, []netip.AddrPort{nodeSecond, nodeMain}) || !slices.Equal(plan.Relay.Target, []netip.AddrPort{nodeSecond}) {
		t.Errorf("met at %v and %v", plan.Relay.Initiator, plan.Relay.Target)
	}
	p.Initiator.Second, p.Initiator.Behavior.Reachable = netip.AddrPort{}, []netip.AddrPort{nodeMain} // a node with one address
	if plan := Decide(p); !slices.Equal(plan.Relay.Initiator, []netip.AddrPort{nodeMain}) {
		t.Errorf("met at %v", plan.Relay.Initiator)
	}
	p = pairOf("N4", "N11s")
	if plan := Decide(p); plan.Strategy != Refuse || !strings.Contains(plan.Why, "no second address") {
		t.Errorf("%v: %s", plan.Strategy, plan.Why)
	}
}

func TestPace(t *testing.T) {
	p := pairOf("N4", "N4")
	for _, c := range []struct{ rtt, want time.Duration }{
		{0, usualPace},
		{time.Millisecond, leastPace},
		{40 * time.Millisecond, 60 * time.Millisecond},
		{100 * time.Millisecond, 150 * time.Millisecond},
		{5 * time.Second, mostPace},
	} {
		p.Initiator.RTT, p.Target.RTT = c.rtt, c.rtt/2
		if got := Decide(p).Pace; got != (Pace{c.want, c.want, mostTimes}) {
			t.Errorf("RTT %v: %+v", c.rtt, got)
		}
	}
	for _, c := range []struct {
		initiator, target bool
		failures, want    int
	}{{true, true, 0, steadyTimes}, {true, false, 0, mostTimes}, {false, true, 0, mostTimes}, {true, true, 1, mostTimes}} {
		p.Initiator.Steady, p.Target.Steady, p.Failures = c.initiator, c.target, c.failures
		if got := Decide(p).Pace.Times; got != c.want {
			t.Errorf("%+v: %d repeats", c, got)
		}
	}
}

func TestKeepalive(t *testing.T) {
	for _, c := range []struct {
		name       string
		node, peer time.Duration
	}{
		{"N0", keepalivePublic, keepalivePublic},
		{"N1", keepaliveNode, keepaliveNAT},
		{"N2", keepaliveNode, keepaliveNAT},
		{"N4", keepaliveNode, keepaliveNAT},
		{"N5", keepaliveNode, KeepaliveRelayed},
		{"N6", keepaliveNode, keepaliveNAT},
		{"N7", keepaliveNode, KeepaliveRelayed},
		{"N11", keepaliveNode, KeepaliveRelayed},
		{"unknown", keepaliveNode, keepaliveNAT},
		{"silent", keepaliveNode, keepaliveNAT},
	} {
		if node, peer := Keepalive(behaviorOf(c.name)); node != c.node || peer != c.peer {
			t.Errorf("%s: %v and %v", c.name, node, peer)
		}
	}
}

func TestHistory(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	var h History
	note := func(o Outcome, tried Strategy, at time.Duration, want int) {
		t.Helper()
		h.Note(o, tried, start.Add(at), addrA, addrB)
		if got := h.Failures(start.Add(at), addrA, addrB); got != want {
			t.Errorf("after %v: %d failures, want %d", o, got, want)
		}
	}
	note(Retried, Punch, 0, 1)
	note(Relayed, Punch, time.Minute, 2)
	note(Succeeded, Punch, 2*time.Minute, 0)
	note(Failed, Predict, 3*time.Minute, 1)
	note(Retried, Predict, 4*time.Minute, 2)
	note(Retried, Punch, 5*time.Minute, 3)
	note(Relayed, Relay, 14*time.Minute, 3) // no news of direct ways
	if got := h.Failures(start.Add(15*time.Minute), addrA, addrB); got != 3 {
		t.Errorf("%d failures after ten minutes", got)
	}
	if got := h.Failures(start.Add(15*time.Minute+1), addrA, addrB); got != 0 {
		t.Errorf("%d failures are not forgotten", got)
	}
	if h.Failures(start.Add(6*time.Minute), addrA6, addrB)+h.Failures(start.Add(6*time.Minute), addrA, addrA) != 0 {
		t.Error("failures outlive an address")
	}
	note(Retried, Relay, 14*time.Minute, 1) // the relay does no better
}

// Whatever is believed of two sides, the plan keeps its promises.
func TestAnyPair(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	answer := func() natprobe.Finding { return natprobe.Finding{Answer: natprobe.Answer(rnd.IntN(3))} }
	maybe := func(a ...netip.AddrPort) []netip.AddrPort { return a[:rnd.IntN(len(a)+1)] }
	one := func(a ...netip.AddrPort) netip.AddrPort { return append(a, netip.AddrPort{})[rnd.IntN(len(a)+1)] }
	side := func(observed, other, next netip.AddrPort, reported ...netip.AddrPort) Side {
		return Side{
			Behavior: natprobe.Behavior{
				Public: answer(), FirewallOnly: answer(), Hairpin: answer(), Pooling: answer(),
				Mapping: natprobe.Mapping(rnd.IntN(6)), Filtering: natprobe.Filtering(rnd.IntN(6)),
				Allocation: natprobe.Allocation(rnd.IntN(5)), Step: rnd.IntN(9) - 4, Jitter: rnd.IntN(40),
				Range:                [2]uint16{uint16(rnd.Uint32()), uint16(rnd.Uint32())},
				AnswersIntroductions: answer(), BlockedRoutes: answer(), Reachable: maybe(nodeMain, nodeSecond),
			},
			Observed: observed, Proven: one(other), Next: one(next), Latest: one(next), Named: rnd.IntN(30),
			Reported: maybe(reported...), At: one(nodeMain, nodeSecond), Second: one(nodeSecond), Anonymous: rnd.IntN(5) == 0,
			Pending: natprobe.Pending(rnd.IntN(8)), RTT: time.Duration(rnd.IntN(1000)) * time.Millisecond,
		}
	}
	for range 20000 {
		p := Pair{
			Initiator:      side(addrA, addrA6, netip.AddrPortFrom(addrA.Addr(), uint16(rnd.Uint32())), ports("10.0.0.1:1", "198.51.100.1:7")...),
			Target:         side(addrB, addrB6, netip.AddrPortFrom(addrB.Addr(), uint16(rnd.Uint32())), ports("10.0.0.2:1", "203.0.113.1:7")...),
			RelayAvailable: rnd.IntN(2) == 0, Failures: rnd.IntN(6), MaxCandidates: rnd.IntN(40),
			Again: rnd.IntN(3), Rushed: rnd.IntN(2) == 0,
		}
		if rnd.IntN(4) == 0 {
			p.Target.Observed = netip.AddrPortFrom(addrA.Addr(), 6000)
		}
		plan := Decide(p)
		check(t, plan)
		if !p.RelayAvailable && (plan.Relay.Use != RelayNone || len(plan.Redirects) == 0 || len(plan.Replies) == 0) {
			t.Errorf("without a relay: %+v", plan)
		}
		if t.Failed() {
			t.Fatalf("%+v", p)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, c := range [][2]string{{"N4", "N4"}, {"N6", "N6"}, {"unknown", "unknown"}} {
		b.Run(c[0]+"-"+c[1], func(b *testing.B) {
			p := pairOf(c[0], c[1])
			b.ReportAllocs()
			for b.Loop() {
				Decide(p)
			}
		})
	}
}
