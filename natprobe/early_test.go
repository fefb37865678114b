package natprobe

import (
	"container/heap"
	"testing"
	"time"

	natlab "pileus/natprobe/lab"
)

// moment is what is known early, first at At.
type moment struct {
	at      time.Duration
	b       Behavior
	pending Pending
}

// early runs a round against a client that answers introductions from some time on,
// and tells what was known early whenever that changed.
func early(m *model, l lab, deafFor time.Duration) (moments []moment) {
	observed, _ := m.out(nodeMain)
	c := l.config(observed)
	c.Deaf = deafFor > 0
	context := []Observation{
		{Kind: KindObserved, Node: nodeMain, Seen: observed, At: m.now, Tries: 1, Hits: 1},
		{Kind: KindReported, Seen: m.own(), At: m.now, Tries: 1, Hits: 1},
	}
	began := m.now
	p := NewPlanner(c, m.now)
	m.silent = deafFor > 0
	if deafFor > 0 {
		heap.Push(&m.pending, event{m.now.Add(deafFor), func() {
			m.silent = false
			p.Again(m.now, m.now)
		}})
	}
	note := func() {
		b := Early(append(context, p.Early(m.now)...), m.now)
		pending := p.Pending(m.now)
		if n := len(moments); n == 0 || moments[n-1].pending != pending || kindOf(&moments[n-1].b) != kindOf(&b) {
			moments = append(moments, moment{m.now.Sub(began), b, pending})
		}
	}
	for {
		due := p.Deadline()
		if due.IsZero() {
			return moments
		}
		if len(m.pending) > 0 && !m.pending[0].at.After(due) {
			e := heap.Pop(&m.pending).(event)
			m.now = e.at
			e.do()
		} else {
			m.now = later(m.now, due)
		}
		for _, pkt := range p.Next(m.now) {
			l.deliver(m, p, pkt, observed)
		}
		note()
	}
}

// kindOf is as much of b as strategies look at.
func kindOf(b *Behavior) any {
	return struct {
		m Mapping
		f Filtering
		a Allocation
		r Answer
	}{b.Mapping, b.Filtering, b.Allocation, b.BlockedRoutes.Answer}
}

// first is when holds held first; -1: never.
func first(moments []moment, holds func(moment) bool) time.Duration {
	for _, m := range moments {
		if holds(m) {
			return m.at
		}
	}
	return -1
}

// What an introduction waits for is known within some round trips of 40 ms.
func TestKnownEarly(t *testing.T) {
	reach := func(a Answer) func(moment) bool {
		return func(m moment) bool { return m.b.BlockedRoutes.Answer == a && m.pending&PendingReach == 0 }
	}
	filter := func(f ...Filtering) func(moment) bool {
		return func(m moment) bool {
			ok := false
			for _, f := range f {
				ok = ok || m.b.Filtering == f
			}
			return ok && m.pending&PendingFilter == 0
		}
	}
	allocation := func(a Allocation) func(moment) bool {
		return func(m moment) bool {
			return m.b.Allocation == a && m.b.Mapping.Dependent() && m.pending&PendingAllocation == 0
		}
	}
	independent := func(m moment) bool {
		return (m.b.Mapping == EIM || m.b.Mapping == MappingNotAPDM) && m.pending&PendingAllocation == 0
	}
	for _, c := range []struct {
		kind, what string
		holds      func(moment) bool
		within     time.Duration
	}{
		{"N0", "reach", reach(No), 45 * time.Millisecond},
		{"N0", "independent", independent, 55 * time.Millisecond},
		{"N2", "filter", filter(EIF), 45 * time.Millisecond},
		{"N4", "reach", reach(No), 45 * time.Millisecond},
		{"N4", "independent", independent, 55 * time.Millisecond},
		{"N4", "filter", filter(APDF), 185 * time.Millisecond},
		{"N3", "filter", filter(ADF), 185 * time.Millisecond},
		{"N5", "allocation", allocation(Random), 160 * time.Millisecond},
		{"N5", "filter", filter(APDF), 185 * time.Millisecond},
		{"N6", "allocation", allocation(Stepping), 160 * time.Millisecond},
		{"N6a", "filter", filter(ADF), 185 * time.Millisecond},
		{"N7", "filter", filter(EIF), 45 * time.Millisecond},
		{"N7", "allocation", allocation(Random), 160 * time.Millisecond},
		{"N7s", "allocation", allocation(Stepping), 160 * time.Millisecond},
		{"N8x", "allocation", allocation(Random), 160 * time.Millisecond},
		{"N11", "reach", reach(Yes), 195 * time.Millisecond},
		{"N11s", "reach", reach(Yes), 195 * time.Millisecond},
	} {
		kind, ok := natlab.KindNamed(c.kind)
		if !ok {
			t.Fatalf("no kind %s", c.kind)
		}
		for _, deafFor := range []time.Duration{0, 40 * time.Millisecond} {
			moments := early(behind(kind, 3), lab{rtt: 40 * time.Millisecond, two: true}, deafFor)
			at := first(moments, c.holds)
			if at < 0 || at > c.within+deafFor {
				t.Errorf("%s: %s known after %v, want %v and %v: %+v", c.kind, c.what, at, c.within, deafFor, moments)
			}
		}
	}
}

// A blocked client does not look like one that keeps its port, whatever answers come
// from the main port of other addresses; and where it gets through is open until some
// answer came.
func TestBlockedLooksLikeNothingEarly(t *testing.T) {
	for _, name := range []string{"N11", "N11s"} {
		kind, _ := natlab.KindNamed(name)
		for _, m := range early(behind(kind, 1), lab{rtt: 40 * time.Millisecond, two: true}, 0) {
			if m.b.Mapping != MappingUnknown {
				t.Errorf("%s after %v: %+v", name, m.at, m.b)
			}
			if m.b.BlockedRoutes.Answer == Yes && m.at < 230*time.Millisecond && m.b.Reachable != nil {
				t.Errorf("%s after %v: reaches %v", name, m.at, m.b.Reachable)
			}
		}
	}
}

// What is said early is true or, with loss, nearly always: and never that a client
// answers no introductions.
func TestEarlyIsTrue(t *testing.T) {
	for _, kind := range natlab.Kinds() {
		if kind.Hosts > 1 {
			continue
		}
		for _, loss := range []float64{0, 0.1} {
			wrong, said := 0, 0
			for seed := range uint64(50) {
				m := behind(kind, seed)
				l := lab{rtt: 40 * time.Millisecond, two: true, loss: loss}
				for _, at := range early(m, l, 40*time.Millisecond) {
					said++
					if !fits(at.b, kind) {
						wrong++
						if loss == 0 {
							t.Errorf("%s after %v: %+v", kind.Name, at.at, at.b)
						}
					}
					if at.b.AnswersIntroductions.Answer == No {
						t.Errorf("%s is called silent after %v", kind.Name, at.at)
					}
				}
			}
			if wrong*20 > said {
				t.Errorf("%s: %d of %d wrong at loss %v", kind.Name, wrong, said, loss)
			}
		}
	}
}

// fits reports whether what b says may be said of a kind.
func fits(b Behavior, k natlab.Kind) bool {
	blocked := len(k.Chain) > 0 && len(k.Chain[len(k.Chain)-1].Egress) > 0
	if blocked {
		return b.BlockedRoutes.Answer != No && b.Mapping == MappingUnknown
	}
	dependent := k.Looks.Mapping == natlab.AddressDependentMapping || k.Looks.Mapping == natlab.AddressAndPortDependentMapping
	open := k.Looks.Filtering == natlab.EndpointIndependentFiltering
	switch {
	case b.BlockedRoutes.Answer == Yes:
		return false
	case b.Mapping == EIM && dependent, b.Mapping.Dependent() && !dependent:
		return false
	case b.Filtering == EIF && !open, b.Filtering.Restricted() && open:
		return false
	case b.Filtering == ADF && k.Looks.Filtering != natlab.AddressDependentFiltering:
		return false
	}
	return true
}

// Silence before the client answers introductions counts for nothing, and one that
// never does is given up.
func TestDeafClient(t *testing.T) {
	kind, _ := natlab.KindNamed("N4")
	moments := early(behind(kind, 1), lab{rtt: 40 * time.Millisecond, two: true}, 3*time.Second)
	for _, m := range moments {
		if m.at < 3*time.Second && (m.b.BlockedRoutes.Answer != Unknown || m.pending&PendingReach == 0) {
			t.Errorf("after %v: %+v, pending %b", m.at, m.b, m.pending)
		}
	}
	if at := first(moments, func(m moment) bool { return m.b.Mapping == EIM }); at < 0 || at > 4200*time.Millisecond {
		t.Errorf("EIM known after %v", at)
	}
	moments = early(behind(kind, 1), lab{rtt: 40 * time.Millisecond, two: true}, time.Hour)
	if last := moments[len(moments)-1]; last.b.AnswersIntroductions.Answer != Unknown {
		t.Errorf("%+v", last)
	}
}
