package introducer

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pileus/natprobe"
)

// What a client's round of probes found at a second address of the machine, and what becomes of the address.
func TestTrust(t *testing.T) {
	second, main := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")
	obs := func(kind natprobe.Kind, at netip.Addr, hits int) natprobe.Observation {
		return natprobe.Observation{Kind: kind, Node: netip.AddrPortFrom(at, 1937), Tries: 7, Hits: hits}
	}
	control := func(hits int) natprobe.Observation { return obs(natprobe.KindControlMapping, main, hits) }
	var (
		answers  = []natprobe.Observation{control(1), obs(natprobe.KindMapping, second, 1)}
		open     = []natprobe.Observation{control(0), obs(natprobe.KindFilter, second, 1)} // a public host answers an unasked IHello
		silent   = []natprobe.Observation{control(1), obs(natprobe.KindMapping, second, 0)}
		ignores  = []natprobe.Observation{control(0), obs(natprobe.KindMapping, second, 0)} // introductions, wherever
		filtered = []natprobe.Observation{control(1), obs(natprobe.KindFilter, second, 0)}  // as most NATs do
		unasked  = []natprobe.Observation{control(1), obs(natprobe.KindMapping, main, 1)}
	)
	type round struct {
		found []natprobe.Observation
		from  int // number of the client
	}
	repeat := func(n int, found []natprobe.Observation) (list []round) {
		for i := range n {
			list = append(list, round{found, i})
		}
		return list
	}
	for name, test := range map[string]struct {
		rounds []round
		want   Trust
	}{
		"nobody asked":                       {nil, OnTrial},
		"two answered":                       {repeat(2, answers), OnTrial},
		"three answered":                     {repeat(3, answers), Trusted},
		"three times the same":               {[]round{{answers, 1}, {answers, 1}, {answers, 1}}, OnTrial},
		"three without being asked":          {repeat(3, open), Trusted},
		"nine silent":                        {repeat(9, silent), OnTrial},
		"ten silent":                         {repeat(10, silent), SetAside},
		"twenty times the same":              {slices.Repeat([]round{{silent, 1}}, 20), OnTrial},
		"ten who ignore introductions":       {repeat(10, ignores), OnTrial},
		"ten whose NAT filters":              {repeat(10, filtered), OnTrial},
		"ten who were not asked there":       {repeat(10, unasked), OnTrial},
		"one answered, then many silent":     {append([]round{{answers, 99}}, repeat(20, silent)...), OnTrial},
		"two answered, many silent, a third": {append(append([]round{{answers, 98}, {answers, 99}}, repeat(20, silent)...), round{answers, 97}), Trusted},
		"trusted, then silent":               {append(repeat(3, answers), repeat(20, silent)...), Trusted},
		"set aside, then answered":           {append(repeat(10, silent), repeat(3, answers)...), SetAside},
		"silent before it answered":          {append(repeat(9, silent), append(repeat(3, answers), repeat(10, silent)...)...), Trusted},
	} {
		var tr candidates
		tr.set([]netip.Addr{second})
		told := 0
		for _, r := range test.rounds {
			before := tr.of[second].trust
			evidence, verdicts := tr.judge(netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", r.from)), r.found)
			now := tr.of[second].trust
			if now != before {
				told++
			}
			if v, ok := verdicts[second]; ok != (now != before) || ok && v != now {
				t.Errorf("%s: %v after %v, and told %v", name, now, before, verdicts)
			}
			for _, o := range evidence {
				if o.Node.Addr() == second && o.Hits == 0 && now != Trusted {
					t.Errorf("%s: silence at an address that is %v counts: %+v", name, now, o)
				}
			}
			kept := 0
			for _, o := range r.found {
				if o.Node.Addr() != second || o.Hits > 0 || now == Trusted {
					kept++
				}
			}
			if len(evidence) != kept {
				t.Errorf("%s: %d observations are kept of %d, want %d", name, len(evidence), len(r.found), kept)
			}
		}
		if got := tr.of[second].trust; got != test.want || told > 1 || tr.probed(second) != (got != SetAside) || tr.trusted(second) != (got == Trusted) {
			t.Errorf("%s: %v, want %v; told %d times", name, got, test.want, told)
		}
	}
}

// What is known of an address stays as long as the machine has it.
func TestTrialsFollowTheMachine(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	var tr candidates
	if found, verdicts := tr.judge(a, []natprobe.Observation{{}}); len(found) != 1 || verdicts != nil || tr.probed(a) {
		t.Error("without any, all is evidence")
	}
	tr.set([]netip.Addr{a})
	tr.of[a].trust = Trusted
	tr.set([]netip.Addr{b, a})
	if !tr.trusted(a) || tr.trusted(b) || !tr.probed(b) {
		t.Errorf("%+v", tr.of)
	}
	tr.set([]netip.Addr{b})
	tr.set([]netip.Addr{a, b})
	if tr.trusted(a) {
		t.Error("it went and came back, perhaps elsewhere, and is trusted still")
	}
}
