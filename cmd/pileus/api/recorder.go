package api

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"pileus/introducer"
)

const (
	// maxIntroductions is how many introductions are remembered.
	maxIntroductions = 1000
	// maxStreams is how many may follow events at once with the operator's token,
	// maxTenantStreams with one tenant's, and maxBacklog how many events one of
	// them may be behind before its stream ends.
	maxStreams       = 32
	maxTenantStreams = 8
	maxBacklog       = 256
	// historyStep and maxHistory are the share of direct and relayed
	// introductions over time: a day, by five minutes.
	historyStep = 5 * time.Minute
	maxHistory  = 288
)

// Recorder remembers what happened lately, for those who ask later, and passes
// it on to those who listen. It is safe for several goroutines, and Record never
// waits for a listener.
type Recorder struct {
	mu            sync.Mutex
	introductions ring[Event]
	tallies       map[string]*tally // by tenant
	streams       map[chan message]listener
}

// message is an event as a stream brings it.
type message struct {
	name string
	data any
}

// listener is who follows a stream: what happens, or what happens to names.
type listener struct {
	scope
	names func(*NameEvent) bool // nil: no names, all else
}

// tally is what became of one tenant's introductions. Cells come from closed
// sets of classes and strategies, so their number is bounded by those.
type tally struct {
	cells    map[Cell]uint64
	outcomes map[Fate]uint64
	history  ring[Share]
}

// maxTallies bounds the tenants that have a tally; an operator names them.
const maxTallies = 1 << 10

// Cell is a place in the matrix of pairs.
type Cell struct {
	Initiator string `json:"initiator"` // class
	Target    string `json:"target"`
	Strategy  string `json:"strategy"`
}

// Fate is a strategy and what became of it.
type Fate struct {
	Strategy string `json:"strategy"`
	Outcome  string `json:"outcome"`
}

// FateCount is how often a strategy had a fate.
type FateCount struct {
	Fate
	Introductions uint64 `json:"introductions"`
}

// Count is a cell and how many introductions fell into it.
type Count struct {
	Cell
	Introductions uint64 `json:"introductions"`
}

// Share is what introductions of one step of time were given.
type Share struct {
	From    time.Time `json:"from"`
	Direct  int       `json:"direct"`
	Either  int       `json:"either"` // direct addresses, and a relay beside
	Relayed int       `json:"relayed"`
	Refused int       `json:"refused"`
}

// NewRecorder makes an empty one.
func NewRecorder() *Recorder {
	return &Recorder{
		introductions: ring[Event]{max: maxIntroductions},
		tallies:       make(map[string]*tally),
		streams:       make(map[chan message]listener),
	}
}

// Record takes an event.
func (r *Recorder) Record(e introducer.Event) {
	if e.Kind == introducer.NameChanged {
		r.recordName(e)
		return
	}
	v := NewEvent(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.Plan != nil {
		r.introductions.add(v)
		r.tally(v)
	}
	if v.Outcome != "" {
		r.settle(v)
	}
	r.pass(message{v.Event, v}, func(l listener) bool { return l.names == nil && l.sees(v.tenant()) })
}

func (r *Recorder) recordName(e introducer.Event) {
	v := NameEvent{string(e.Change), e.At, e.Peer.Tenant, e.Name, e.Peer.ID.String()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pass(message{v.Event, v}, func(l listener) bool { return l.names != nil && l.sees(v.Tenant) && l.names(&v) })
}

// pass gives a message to whom it concerns.
func (r *Recorder) pass(m message, concerns func(listener) bool) {
	for c, l := range r.streams {
		if !concerns(l) {
			continue
		}
		select {
		case c <- m:
		default:
			// Whoever reads too slowly learns so by the end of the stream, not by
			// events that are missing.
			delete(r.streams, c)
			close(c)
		}
	}
}

// settle notes what became of the latest introduction of a pair.
func (r *Recorder) settle(outcome Event) {
	var latest *Event
	for e := range r.introductions.newestFirst {
		if e.Peer.ID != outcome.Peer.ID || e.Target.ID != outcome.Target.ID {
			continue
		}
		if latest == nil {
			latest = e
		}
		if e.Outcome == "" {
			latest = e
			break
		}
	}
	if latest == nil {
		return
	}
	latest.Outcome = outcome.Outcome
	if t := r.tallies[latest.tenant()]; t != nil {
		t.outcomes[Fate{latest.Plan.Strategy, outcome.Outcome}]++
	}
}

// tenant is whose event it is. Introductions do not cross tenants, and an
// anonymous initiator has none.
func (e *Event) tenant() string {
	if e.Target != nil {
		return e.Target.Tenant
	}
	return e.Peer.Tenant
}

func (r *Recorder) tally(e Event) {
	t := r.tallies[e.tenant()]
	if t == nil {
		if len(r.tallies) >= maxTallies {
			return
		}
		t = &tally{cells: make(map[Cell]uint64), outcomes: make(map[Fate]uint64), history: ring[Share]{max: maxHistory}}
		r.tallies[e.tenant()] = t
	}
	t.cells[Cell{e.Peer.Class.String(), e.Target.Class.String(), e.Plan.Strategy}]++
	from := e.Time.Truncate(historyStep)
	var now *Share
	for s := range t.history.newestFirst {
		now = s
		break
	}
	if now == nil || !now.From.Equal(from) {
		t.history.add(Share{From: from})
		for s := range t.history.newestFirst {
			now = s
			break
		}
	}
	switch {
	case e.Plan.Strategy == "refuse":
		now.Refused++
	case e.Plan.Relay == relayOnly:
		now.Relayed++
	case e.Plan.Relay == relayBeside:
		now.Either++
	default:
		now.Direct++
	}
}

// recent lists introductions, the newest first.
func (r *Recorder) recent(s scope, peer string, limit int) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []Event{}
	for e := range r.introductions.newestFirst {
		if len(list) >= limit {
			break
		}
		if s.sees(e.tenant()) && (peer == "" || e.Peer.ID == peer || e.Target.ID == peer) {
			list = append(list, *e)
		}
	}
	return list
}

// Matrix is what introductions were given, by the classes of the two peers, and
// over time, the oldest first.
type Matrix struct {
	Counts   []Count     `json:"counts"`
	Outcomes []FateCount `json:"outcomes"`
	History  []Share     `json:"history"`
}

func (r *Recorder) matrix(s scope) Matrix {
	r.mu.Lock()
	defer r.mu.Unlock()
	cells, fates, steps := map[Cell]uint64{}, map[Fate]uint64{}, map[time.Time]*Share{}
	for tenant, t := range r.tallies {
		if !s.sees(tenant) {
			continue
		}
		for c, n := range t.cells {
			cells[c] += n
		}
		for f, n := range t.outcomes {
			fates[f] += n
		}
		for h := range t.history.newestFirst {
			if sum := steps[h.From]; sum != nil {
				sum.Direct, sum.Either, sum.Relayed, sum.Refused = sum.Direct+h.Direct, sum.Either+h.Either, sum.Relayed+h.Relayed, sum.Refused+h.Refused
			} else {
				steps[h.From] = &Share{h.From, h.Direct, h.Either, h.Relayed, h.Refused}
			}
		}
	}
	m := Matrix{Counts: []Count{}, Outcomes: []FateCount{}, History: []Share{}}
	for c, n := range cells {
		m.Counts = append(m.Counts, Count{c, n})
	}
	slices.SortFunc(m.Counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Initiator, b.Initiator), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Strategy, b.Strategy))
	})
	for f, n := range fates {
		m.Outcomes = append(m.Outcomes, FateCount{f, n})
	}
	slices.SortFunc(m.Outcomes, func(a, b FateCount) int {
		return cmp.Or(cmp.Compare(a.Strategy, b.Strategy), cmp.Compare(a.Outcome, b.Outcome))
	})
	for _, h := range steps {
		m.History = append(m.History, *h)
	}
	slices.SortFunc(m.History, func(a, b Share) int { return a.From.Compare(b.From) })
	return m
}

// follow opens a stream of events; nil if there are too many.
func (r *Recorder) follow(s scope) chan message { return r.open(listener{scope: s}) }

// followNames opens a stream of changes of the names that concern the caller.
func (r *Recorder) followNames(s scope, concerns func(*NameEvent) bool) chan message {
	return r.open(listener{s, concerns})
}

func (r *Recorder) open(l listener) chan message {
	r.mu.Lock()
	defer r.mu.Unlock()
	// One tenant cannot use up the streams of another, or the operator's.
	left := maxTenantStreams
	if l.operator {
		left = maxStreams
	}
	for _, other := range r.streams {
		if other.scope == l.scope {
			left--
		}
	}
	if left <= 0 {
		return nil
	}
	c := make(chan message, maxBacklog)
	r.streams[c] = l
	return c
}

func (r *Recorder) unfollow(c chan message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.streams[c]; there {
		delete(r.streams, c)
		close(c)
	}
}
