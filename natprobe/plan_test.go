package natprobe

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	natlab "pileus/natprobe/lab"
)

func only1935(dst netip.AddrPort) bool { return dst.Port() != 1935 }

// kinds are NATS.md's, as far as one client tells them apart, and more.
var kinds = []struct {
	name     string
	m        model
	one, two Class // with one and two node addresses
}{
	{"N0", model{public: true, filtering: EIF}, ClassUnknown, Public},
	{"N1", model{public: true, filtering: APDF}, Firewall, Firewall},
	{"N1-ADF", model{public: true, filtering: ADF}, ClassUnknown, Firewall},
	{"N2", model{mapping: EIM, filtering: EIF, alloc: Random}, ClassUnknown, FullCone},
	{"N3", model{mapping: EIM, filtering: ADF, alloc: Random}, ClassUnknown, AddressRestricted},
	{"N4", model{mapping: EIM, filtering: APDF, alloc: Preserved}, ClassUnknown, PortRestricted},
	{"N5", model{mapping: APDM, filtering: APDF, alloc: Random}, SymmetricRandom, SymmetricRandom},
	{"N6", model{mapping: APDM, filtering: APDF, alloc: Stepping, step: 1}, SymmetricStepping, SymmetricStepping},
	{"N6-busy", model{mapping: APDM, filtering: APDF, alloc: Stepping, step: 1, flows: 20}, SymmetricStepping, SymmetricStepping},
	{"N6-down", model{mapping: APDM, filtering: APDF, alloc: Stepping, step: -2}, ClassUnknown, SymmetricStepping},
	{"N7", model{mapping: APDM, filtering: EIF, alloc: Random}, ClassUnknown, SymmetricOpenFilter},
	{"ADM", model{mapping: ADM, filtering: APDF, alloc: Random}, ClassUnknown, ClassUnknown},
	{"ranged", model{mapping: APDM, filtering: APDF, alloc: Ranged}, SymmetricRandom, SymmetricRandom},
	{"N11", model{mapping: EIM, filtering: APDF, alloc: Preserved, blocked: only1935}, Blocked, Blocked},
	{"N11s", model{mapping: EIM, filtering: APDF, alloc: Preserved, blocked: func(a netip.AddrPort) bool { return a != nodeMain }}, Blocked, Blocked},
	{"silent", model{mapping: EIM, filtering: APDF, alloc: Preserved, silent: true}, Silent, Silent},
	{"silent-N0", model{public: true, filtering: EIF, silent: true}, Silent, Silent},
}

// Right or unknown, never wrong; and right without loss.
func TestNativeProbing(t *testing.T) {
	const rounds = 100
	for _, kind := range kinds {
		for _, two := range []bool{false, true} {
			for _, loss := range []float64{0, 0.1, 0.3} {
				t.Run(fmt.Sprintf("%s/two=%t/loss=%v", kind.name, two, loss), func(t *testing.T) {
					want := kind.one
					if two {
						want = kind.two
					}
					right, wrong, most := 0, 0, 0
					longest := time.Duration(0)
					for seed := range uint64(rounds) {
						m := kind.m
						m.start(seed)
						r := lab{loss: loss, rtt: 40 * time.Millisecond, two: two}.probe(&m)
						b := Classify(r.record, r.at)
						switch c := b.Class(); {
						case c == want && agrees(b, m):
							right++
						case c != ClassUnknown || !agrees(b, m):
							wrong++
							t.Logf("seed %d: class %v, want %v or unknown: %+v", seed, c, want, b)
						}
						most, longest = max(most, r.packets), max(longest, r.took)
					}
					t.Logf("%d of %d right, up to %d packets, %v", right, rounds, most, longest)
					// Half of all round trips lost is more than any number of tries within
					// three seconds is proof against.
					if tolerated := map[float64]int{0.3: rounds / 50}[loss]; wrong > tolerated {
						t.Errorf("%d of %d wrong", wrong, rounds)
					}
					if most > MaxPackets {
						t.Errorf("%d packets", most)
					}
					if loss <= 0.1 && longest > 3*time.Second {
						t.Errorf("took %v", longest)
					}
					share := map[float64]int{0: 95, 0.1: 90}[loss]
					if right*100 < rounds*share {
						t.Errorf("only %d of %d right", right, rounds)
					}
				})
			}
		}
	}
}

// agrees reports whether what b says of m is true, as far as it says anything.
func agrees(b Behavior, m model) bool {
	mapping := map[Mapping][]Mapping{MappingUnknown: {EIM, ADM, APDM}, MappingNotEIM: {ADM, APDM}, MappingNotAPDM: {EIM, ADM}}
	filtering := map[Filtering][]Filtering{FilteringUnknown: {EIF, ADF, APDF}, FilteringNotEIF: {ADF, APDF}, FilteringNotAPDF: {EIF, ADF}}
	ok := b.Mapping == m.mapping
	for _, v := range mapping[b.Mapping] {
		ok = ok || v == m.mapping
	}
	okFilter := b.Filtering == m.filtering
	for _, v := range filtering[b.Filtering] {
		okFilter = okFilter || v == m.filtering
	}
	okAlloc := b.Allocation == AllocationUnknown || b.Allocation == m.alloc
	if b.Allocation == Stepping {
		okAlloc = okAlloc && b.Step == m.step
	}
	okPublic := b.Public.Answer == Unknown || (b.Public.Answer == Yes) == m.public
	okBlocked := b.BlockedRoutes.Answer == Unknown || (b.BlockedRoutes.Answer == Yes) == (m.blocked != nil)
	okAnswers := b.AnswersIntroductions.Answer == Unknown || (b.AnswersIntroductions.Answer == No) == m.silent
	return ok && okFilter && okAlloc && okPublic && okBlocked && okAnswers
}

// behind makes a host behind the NATs of k.
func behind(k natlab.Kind, seed uint64) *model {
	var m model
	m.start(seed)
	m.host = netip.AddrPortFrom(outside, local.Port())
	for i, b := range k.Chain {
		b.Seed = seed
		if b.Mapping != natlab.NoTranslation {
			m.host = local
			b.Public = []netip.Addr{outside}
			if i < len(k.Chain)-1 {
				b.Public = []netip.Addr{netip.MustParseAddr("100.64.0.1")}
			}
		}
		m.chain = append(m.chain, natlab.NewNAT(b))
	}
	return &m
}

// The kinds of the lab: right or unknown, 50 of 50 each, also at 10 % loss.
func TestLabKinds(t *testing.T) {
	for name, want := range map[string]Class{
		"N0": Public, "N1": Firewall, "N2": FullCone, "N3": AddressRestricted, "N4": PortRestricted,
		"N4i": PortRestricted, "N5": SymmetricRandom, "N6": SymmetricStepping, "N7": SymmetricOpenFilter,
		"N8": PortRestricted, "N11": Blocked, "N11s": Blocked, "N12": SymmetricRandom,
	} {
		kind, ok := natlab.KindNamed(name)
		if !ok {
			t.Fatalf("the lab has no %s", name)
		}
		for _, loss := range []float64{0, 0.1} {
			right := 0
			for seed := range uint64(50) {
				r := lab{loss: loss, rtt: 40 * time.Millisecond, two: true}.probe(behind(kind, seed))
				switch c := Classify(r.record, r.at).Class(); c {
				case want:
					right++
				case ClassUnknown:
				default:
					t.Errorf("%s at loss %v, seed %d: %v, want %v", name, loss, seed, c, want)
				}
			}
			if right < 45 {
				t.Errorf("%s at loss %v: %d of 50 right", name, loss, right)
			}
		}
	}
}

// The address that a filter probe comes from is named by no introduction before the
// filter is measured, unless the client holds its session there or nothing else is
// answered; and its port never.
func TestOrderOfProbes(t *testing.T) {
	for _, kind := range kinds {
		for _, loss := range []float64{0, 0.1, 0.5, 0.9} {
			for seed := range uint64(30) {
				m := kind.m
				m.start(seed)
				r := lab{loss: loss, rtt: 40 * time.Millisecond, two: true}.probe(&m)
				if len(r.named) > MaxPackets || len(r.named) != r.packets {
					t.Errorf("%s: %d packets, %d counted", kind.name, len(r.named), r.packets)
				}
				named := make(map[netip.Addr]bool)
				mapped, filtered := make(map[netip.AddrPort]bool), make(map[netip.AddrPort]bool)
				for _, pkt := range r.named {
					switch {
					case pkt.Node == nodeMain:
					case pkt.Kind == FIHello:
						named[pkt.Node.Addr()] = pkt.Node.Addr() != nodeMain.Addr() && pkt.Node.Port() != 1935 && pkt.Node.Port() != 443
						mapped[pkt.Node] = true
					case named[pkt.Node.Addr()]:
						t.Fatalf("%s seed %d: a filter probe from %v, which was named before: %v", kind.name, seed, pkt.Node, r.named)
					default:
						filtered[pkt.Node] = true
					}
				}
				for node := range mapped {
					if filtered[node] {
						t.Errorf("%s: %v serves both", kind.name, node)
					}
				}
			}
		}
	}
}

// drive runs a planner whose client answers what answer says, after the RTT.
func drive(c PlannerConfig, answer func(Packet) (netip.AddrPort, bool)) (p *Planner, sent []Packet, took time.Duration) {
	now := simStart
	p = NewPlanner(c, now)
	var queue events
	for !p.Deadline().IsZero() {
		if len(queue) > 0 && !queue[0].at.After(p.Deadline()) {
			now = queue[0].at
			queue[0].do()
			queue = queue[1:]
			continue
		}
		now = later(now, p.Deadline())
		for _, pkt := range p.Next(now) {
			sent = append(sent, pkt)
			if from, ok := answer(pkt); ok {
				at := now.Add(c.RTT)
				queue = append(queue, event{at, func() { p.Answered(pkt.ID, from, at) }})
			}
		}
	}
	return p, sent, now.Sub(simStart)
}

func kindsOf(p *Planner) map[Kind]int {
	count := make(map[Kind]int)
	for _, o := range p.Observations() {
		count[o.Kind]++
	}
	return count
}

func TestEarlyStop(t *testing.T) {
	c := lab{two: true, rtt: 40 * time.Millisecond}.config(seen(40000))
	_, sent, took := drive(c, func(Packet) (netip.AddrPort, bool) { return seen(40000), true })
	if len(sent) != 2+2+4 || took > 150*time.Millisecond {
		t.Errorf("an open host took %d packets and %v", len(sent), took)
	}
	_, sent, took = drive(c, func(p Packet) (netip.AddrPort, bool) { return seen(40000), p.Kind == IHello && p.Node == nodeMain })
	if len(sent) > 30 || took > 1500*time.Millisecond {
		t.Errorf("a silent host took %d packets and %v", len(sent), took)
	}
	p, sent, _ := drive(c, func(Packet) (netip.AddrPort, bool) { return netip.AddrPort{}, false })
	if n := kindsOf(p); n[KindRoute] > 0 || len(sent) > 2*MinTries+silenceControls*closingTries+n[KindFilter]+n[KindMapping] {
		t.Errorf("one that is gone was asked %v in %d packets", n, len(sent)) // all but controls once
	}
}

func TestRoutesOnlyIfBlocked(t *testing.T) {
	c := lab{two: true, rtt: 40 * time.Millisecond}.config(seen(40000))
	p, _, took := drive(c, func(p Packet) (netip.AddrPort, bool) { return seen(40000), p.Node.Port() == 1935 })
	if n := kindsOf(p); n[KindRoute] != len(c.Routes) || took > 3*time.Second {
		t.Errorf("%v in %v", n, took)
	}
	p, _, _ = drive(c, func(p Packet) (netip.AddrPort, bool) {
		return seen(40000), p.Node == nodeMain || p.Kind == FIHello && p.Node.Addr() == nodeOther.Addr()
	})
	if b := Classify(p.Observations(), simStart.Add(time.Minute)); b.BlockedRoutes.Answer != No {
		t.Errorf("called blocked though probe ports of the other address answer: %+v", b)
	}
	p, _, _ = drive(c, func(p Packet) (netip.AddrPort, bool) { return seen(40000), p.Node == nodeMain || p.Kind == FIHello })
	if n := kindsOf(p); n[KindRoute] != 0 {
		t.Errorf("asked for routes though probe ports answer: %v", n)
	}
}

func TestFarAway(t *testing.T) {
	for _, rtt := range []time.Duration{0, 300 * time.Millisecond, 900 * time.Millisecond} {
		m := kinds[5].m // N4
		m.start(1)
		l := lab{rtt: rtt, two: true}
		r := l.probe(&m)
		if b := Classify(r.record, r.at); b.Class() != PortRestricted {
			t.Errorf("at %v: %+v", rtt, b)
		}
		for _, o := range r.record {
			if o.Kind == KindMapping && o.Tries != 1 {
				t.Errorf("at %v: asked again before the answer could be there", rtt)
			}
		}
	}
}

// A filter that was measured, or opened, is not measured again for a while.
func TestRecentRecord(t *testing.T) {
	c := lab{two: true, rtt: 40 * time.Millisecond}.config(seen(40000))
	answer := func(p Packet) (netip.AddrPort, bool) { return seen(40000), p.Node == nodeMain || p.Kind == FIHello }
	for _, test := range []struct {
		recent []Observation
		want   int
	}{
		{nil, 2},
		{[]Observation{miss(KindFilter, -60_000, node(2, 1936))}, 1},
		{[]Observation{hit(KindMapping, -60_000, node(2, 1938), seen(40000)), hit(KindRoute, -60_000, node(1, 443), seen(40000))}, 1},
		{[]Observation{miss(KindFilter, -60_000, node(1, 1936)), hit(KindRoute, -60_000, node(2, 443), seen(40000))}, 0},
		{[]Observation{hit(KindMapping, -700_000, node(2, 1938), seen(40000))}, 2},
	} {
		c.Recent = test.recent
		p, sent, _ := drive(c, answer)
		filters := make(map[netip.AddrPort]bool)
		for _, pkt := range sent {
			if pkt.Kind == IHello && pkt.Node != nodeMain {
				filters[pkt.Node] = true
			}
		}
		if n := kindsOf(p); len(filters) != test.want || n[KindMapping] != 4 {
			t.Errorf("filters %v, %v after %v", filters, n, test.recent)
		}
	}
}

// A round that may not ask for the filter again, as the addresses were named
// lately, keeps the answer of the one before; and the record does not grow.
func TestMoreRounds(t *testing.T) {
	for name, want := range map[string]Class{"N2": FullCone, "N3": AddressRestricted, "N4": PortRestricted, "N4i": PortRestricted, "N5": SymmetricRandom} {
		kind, _ := natlab.KindNamed(name)
		m := behind(kind, 1)
		l := lab{rtt: 40 * time.Millisecond, two: true}
		length := 0
		for i := range 8 {
			r := l.probe(m)
			if c := Classify(r.record, r.at).Class(); c != want {
				t.Errorf("%s, round %d: %v", name, i, c)
			}
			if i < 4 { // long enough for the filter to be measured again
				length = max(length, len(r.record))
			} else if len(r.record) > length {
				t.Errorf("%s, round %d: %d observations after %d", name, i, len(r.record), length)
			}
			l.recent = r.record
			for range 12 { // its session stays alive meanwhile
				m.now = m.now.Add(20 * time.Second)
				_, _ = m.out(nodeMain)
			}
		}
	}
}

func TestOtherFamily(t *testing.T) {
	c := lab{two: true, rtt: 40 * time.Millisecond}.config(seen(40000))
	c.Family = netip.MustParseAddrPort("[2001:db8::1]:1935")
	own := netip.MustParseAddrPort("[2001:db8::2]:40000")
	p, _, _ := drive(c, func(p Packet) (netip.AddrPort, bool) {
		if p.Node == c.Family {
			return own, p.Kind == FIHello
		}
		return seen(40000), true
	})
	proven := those(p.Observations(), func(o Observation) bool { return o.Kind == KindFamily && o.Seen == own && o.Hits == 1 })
	if len(proven) != 1 {
		t.Errorf("%+v", p.Observations())
	}
	if b := Classify(p.Observations(), simStart.Add(time.Minute)); b.Mapping != EIM || b.Filtering != EIF {
		t.Errorf("%+v", b)
	}
}

func TestFewAddresses(t *testing.T) {
	answer := func(Packet) (netip.AddrPort, bool) { return seen(40000), true }
	for name, c := range map[string]PlannerConfig{
		"no probe ports":     {Main: nodeMain, Observed: seen(40000)},
		"one probe port":     {Main: nodeMain, Observed: seen(40000), Probes: []netip.AddrPort{node(1, 1936)}},
		"main among them":    {Main: nodeMain, Observed: seen(40000), Probes: []netip.AddrPort{nodeMain}},
		"other family only":  {Main: nodeMain, Observed: seen(40000), Probes: []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:1936")}},
		"second only":        {Main: nodeMain, Observed: seen(40000), Probes: []netip.AddrPort{node(2, 1936), node(2, 1937)}},
		"third is left out":  {Main: nodeMain, Observed: seen(40000), Probes: []netip.AddrPort{node(2, 1936), node(2, 1937), node(3, 1936), node(3, 1937)}},
		"the RTT is unknown": {Main: nodeMain, Observed: seen(40000), RTT: -1},
	} {
		c.RTT += 40 * time.Millisecond
		p, _, _ := drive(c, answer)
		b := Classify(p.Observations(), simStart.Add(time.Minute))
		if b.AnswersIntroductions.Answer != Yes {
			t.Errorf("%s: %+v", name, b)
		}
		for _, o := range p.Observations() {
			if o.Node.Addr() == node(3, 1).Addr() || o.Node.Addr().Is6() {
				t.Errorf("%s: asked at %v", name, o.Node)
			}
		}
	}
}

func TestStrayAnswers(t *testing.T) {
	p := NewPlanner(lab{two: true}.config(seen(40000)), simStart)
	p.Answered(0, seen(1), simStart) // before anything was sent
	p.Answered(-1, seen(1), simStart)
	p.Answered(1000, seen(1), simStart)
	if len(p.Observations()) != 0 {
		t.Fatal("answers to nothing were counted")
	}
	for _, pkt := range p.Next(simStart) {
		p.Answered(pkt.ID, seen(40000), at(10))
		p.Answered(pkt.ID, seen(7), at(20))
	}
	for _, o := range p.Observations() {
		if o.Hits > o.Tries || o.Seen.Port() == 7 {
			t.Errorf("a second answer was counted: %+v", o)
		}
	}
}
