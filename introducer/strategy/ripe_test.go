package strategy

import (
	"testing"
	"time"

	"pileus/natprobe"
)

// What is not known is worth waiting for only where it decides.
func TestRipe(t *testing.T) {
	const reach, filter, allocation = natprobe.PendingReach, natprobe.PendingFilter, natprobe.PendingAllocation
	partly := func(name string, f func(*natprobe.Behavior)) natprobe.Behavior {
		b := behaviorOf(name)
		f(&b)
		return b
	}
	noFilter := func(b *natprobe.Behavior) { b.Filtering = natprobe.FilteringUnknown }
	noPorts := func(b *natprobe.Behavior) { b.Allocation = natprobe.AllocationUnknown }
	oneAddress := func(b *natprobe.Behavior) { b.Mapping = natprobe.MappingNotAPDM }
	for _, c := range []struct {
		name     string
		a, b     natprobe.Behavior
		pendingA natprobe.Pending
		pendingB natprobe.Pending
		want     bool
	}{
		{"nothing is known, and nothing will be", behaviorOf("unknown"), behaviorOf("unknown"), 0, 0, true},
		{"the reach of the initiator", behaviorOf("unknown"), behaviorOf("N0"), natprobe.PendingAll, 0, false},
		{"the reach of the target", behaviorOf("N0"), behaviorOf("unknown"), 0, reach, false},
		{"both keep their ports: filters do not matter", partly("N4", noFilter), partly("N4", noFilter), filter, filter, true},
		{"as far as one address can tell", partly("N4", oneAddress), partly("N1", noFilter), 0, filter, true},
		{"one's port may change, the other's filter is open yet", behaviorOf("N5"), partly("N4", noFilter), 0, filter, false},
		{"one's port changes, its own filter is open yet", partly("N5", noFilter), behaviorOf("N5a"), filter, 0, false},
		{"likewise, but in no case does it matter", partly("N5", noFilter), behaviorOf("N4"), filter, 0, true},
		{"one's port changes by a rule that is open yet", partly("N6", noPorts), behaviorOf("N4"), allocation, 0, false},
		{"of two", behaviorOf("N6"), partly("N6", noPorts), 0, allocation, false},
		{"one takes packets from anybody", partly("N5", noFilter), behaviorOf("N2"), filter | allocation, 0, true},
		{"it takes a relay, whatever the rule", behaviorOf("N5"), partly("N5", noPorts), 0, allocation, true},
		{"blocked: whatever else", behaviorOf("N11"), partly("N6", noPorts), filter, allocation, true},
		{"blocked, but the reach of the other decides where", behaviorOf("N11"), behaviorOf("unknown"), 0, reach, false},
	} {
		p := pairOf("unknown", "unknown")
		p.Initiator.Behavior, p.Target.Behavior = c.a, c.b
		p.Initiator.Pending, p.Target.Pending = c.pendingA, c.pendingB
		if p.Ripe() != c.want {
			t.Errorf("%s: ripe %v", c.name, !c.want)
		}
		p.Initiator, p.Target = p.Target, p.Initiator
		if p.Ripe() != c.want {
			t.Errorf("%s, the other way: ripe %v", c.name, !c.want)
		}
	}
}

// Who cannot wait any longer hears of nothing that could not be undone, and of no
// relay that it may not reach.
func TestRushed(t *testing.T) {
	unknown := behaviorOf("unknown")
	changes := natprobe.Behavior{Mapping: natprobe.APDM, BlockedRoutes: natprobe.Finding{Answer: natprobe.No}, AnswersIntroductions: natprobe.Finding{Answer: natprobe.Yes}}
	open, closed, random := changes, changes, changes
	open.Filtering, closed.Filtering, random.Filtering = natprobe.EIF, natprobe.APDF, natprobe.APDF
	random.Allocation = natprobe.Random
	for _, c := range []struct {
		name     string
		a, b     natprobe.Behavior
		pending  natprobe.Pending
		strategy Strategy
		use      Use
	}{
		{"may swallow a one-way RHello", open, unknown, natprobe.PendingFilter, Relay, RelayOnly},
		{"likewise, its filter not closed yet", changes, unknown, natprobe.PendingFilter, Relay, RelayOnly},
		{"may step", closed, unknown, natprobe.PendingAllocation, Relay, RelayOnly},
		{"neither", random, natprobe.Behavior{Mapping: natprobe.EIM, BlockedRoutes: changes.BlockedRoutes}, natprobe.PendingFilter, Punch, RelayBeside},
		{"keeps its port: nothing is lost", behaviorOf("N4"), natprobe.Behavior{Mapping: natprobe.MappingNotAPDM}, natprobe.PendingFilter, Punch, RelayBeside},
	} {
		p := pairOf("unknown", "unknown")
		p.Initiator.Behavior, p.Target.Behavior = c.a, c.b
		p.Target.Pending, p.Rushed = c.pending, true
		plan := Decide(p)
		if plan.Strategy != c.strategy || plan.Relay.Use != c.use {
			t.Errorf("%s: %v, relay %v: %s", c.name, plan.Strategy, plan.Relay.Use, plan.Why)
		}
		check(t, plan)
	}
}

// No relay stands by for a side that may not reach it: it is named when that is known.
func TestNoStandbyBeforeReachIsKnown(t *testing.T) {
	p := pairOf("N0", "N4")
	p.Failures = 1
	for _, pending := range []natprobe.Pending{0, natprobe.PendingReach} {
		p.Target.Pending = pending
		want := RelayBeside
		if pending != 0 {
			want = RelayNone
		}
		if plan := Decide(p); plan.Relay.Use != want {
			t.Errorf("pending %b: the relay's use is %v", pending, plan.Relay.Use)
		}
	}
}

// A question that is repeated has a relay stand by, however sure the pair was.
func TestAskedAgain(t *testing.T) {
	for _, a := range typeNames {
		for _, b := range typeNames {
			p := pairOf(a, b)
			first := Decide(p)
			p.Again = 1
			again := Decide(p)
			check(t, again)
			if direct := first.Strategy != Relay && first.Strategy != Refuse; direct && again.Strategy == first.Strategy && again.Relay.Use != RelayBeside &&
				p.Target.Behavior.Class() != natprobe.Silent {
				t.Errorf("%s to %s: %v, no relay stands by: %s", a, b, again.Strategy, again.Why)
			}
			if again.Sure && first.Strategy != Relay && first.Strategy != Refuse {
				t.Errorf("%s to %s: still sure", a, b)
			}
		}
	}
}

// What is told by prediction depends on luck.
func TestPredictionIsNotSure(t *testing.T) {
	for _, pair := range [][2]string{{"N4", "N6"}, {"N6", "N4"}, {"N6", "N6"}} {
		p := pairOf(pair[0], pair[1])
		plan := Decide(p)
		if plan.Strategy != Predict || plan.Sure || plan.Relay.Use != RelayBeside {
			t.Errorf("%v: %v, sure %v, relay %v", pair, plan.Strategy, plan.Sure, plan.Relay.Use)
		}
	}
}

func TestHolds(t *testing.T) {
	const ms = time.Millisecond
	p := pairOf("N4", "N6")
	p.Initiator.Behavior = natprobe.Behavior{}
	for _, c := range []struct{ a, b, first, relay time.Duration }{
		{0, 0, 300 * ms, 100 * ms},
		{40 * ms, 40 * ms, 300 * ms, 100 * ms},
		{10 * ms, 150 * ms, 600 * ms, 160 * ms},
		{250 * ms, 250 * ms, 900 * ms, 500 * ms},
		{400 * ms, 500 * ms, 1200 * ms, 600 * ms},
	} {
		p.Initiator.RTT, p.Target.RTT = c.a, c.b
		if got := p.Hold(); got != c.first {
			t.Errorf("%v and %v: the first answer is held for %v, want %v", c.a, c.b, got, c.first)
		}
		if got := p.relayHold(); got != c.relay {
			t.Errorf("%v and %v: the relay holds for %v, want %v", c.a, c.b, got, c.relay)
		}
	}
}
