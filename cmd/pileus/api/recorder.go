package api

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"pileus/introducer"
	"pileus/introducer/strategy"
	"pileus/rtmfp/flash"
)

const (
	// maxIntroductions is how many introductions are remembered.
	maxIntroductions = 1000
	// maxStreams is how many may follow events at once with the operator's token,
	// maxTenantStreams with one tenant's, and maxBacklog how many events one of
	// them may be behind before its stream ends.
	maxStreams       = 32
	maxTenantStreams = 8
	// maxAllStreams leaves connections of the server to those who ask something.
	maxAllStreams = 56
	maxBacklog    = 256
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
	introductions ring[introduced]
	pairs         map[pair]int      // how often each is in introductions
	tallies       map[string]*tally // by tenant
	streams       map[chan message]listener
}

// introduced is an introduction as it happened. It is put into words when somebody
// asks: most are never asked for.
type introduced struct {
	introducer.Event
	outcome introducer.Outcome
	settled bool
	counted Cell // where it stands in the tally
}

// pair is an initiator and its target.
type pair [2]flash.PeerID

func pairOf(e *introducer.Event) pair { return pair{e.Peer.ID, e.Target.ID} }

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
		introductions: ring[introduced]{max: maxIntroductions},
		pairs:         make(map[pair]int),
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
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case introducer.PeersIntroduced:
		r.tally(r.remember(e))
	case introducer.PeerNotFound:
		r.remember(e)
	case introducer.PlanRevised:
		r.revise(&e)
	case introducer.IntroductionSettled:
		r.settle(&e)
	default:
	}
	if len(r.streams) == 0 {
		return
	}
	v := NewEvent(e)
	r.pass(message{v.Event, v}, func(l listener) bool { return l.names == nil && l.sees(tenantOf(&e)) })
}

// remember keeps an introduction, in place of the oldest.
func (r *Recorder) remember(e introducer.Event) *introduced {
	if old := r.introductions.next(); old != nil {
		key := pairOf(&old.Event)
		if r.pairs[key]--; r.pairs[key] == 0 {
			delete(r.pairs, key)
		}
	}
	r.introductions.add(introduced{Event: e})
	r.pairs[pairOf(&e)]++
	for i := range r.introductions.newestFirst {
		return i
	}
	return nil // there is one
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

// latest is the latest introduction of a pair that is not settled or, of settled ones,
// the latest; nil: none.
func (r *Recorder) latest(e *introducer.Event) (latest *introduced) {
	key := pairOf(e)
	if r.pairs[key] == 0 {
		return nil
	}
	for i := range r.introductions.newestFirst {
		if i.Kind != introducer.PeersIntroduced || i.Peer.ID != key[0] || i.Target.ID != key[1] {
			continue
		}
		if !i.settled {
			return i
		}
		if latest == nil {
			latest = i
		}
	}
	return latest
}

// revise lets what is told of an introduction follow its plan.
func (r *Recorder) revise(e *introducer.Event) {
	i := r.latest(e)
	if i == nil {
		return
	}
	i.Peer, i.Target, i.Plan = e.Peer, e.Target, e.Plan
	t := r.tallies[tenantOf(&i.Event)]
	if now := cellOf(&i.Event); t != nil && i.counted != (Cell{}) && now != i.counted {
		if t.cells[i.counted]--; t.cells[i.counted] == 0 {
			delete(t.cells, i.counted)
		}
		t.cells[now]++
		i.counted = now
	}
}

// settle notes what became of the latest introduction of a pair.
func (r *Recorder) settle(e *introducer.Event) {
	latest := r.latest(e)
	if latest == nil {
		return
	}
	latest.outcome, latest.settled = e.Outcome, true
	if t := r.tallies[tenantOf(&latest.Event)]; t != nil {
		t.outcomes[Fate{latest.Plan.Strategy.String(), e.Outcome.String()}]++
	}
}

// tenantOf is whose event it is. Introductions do not cross tenants, and an
// anonymous initiator has none.
func tenantOf(e *introducer.Event) string {
	switch e.Kind {
	case introducer.PeersIntroduced, introducer.PlanRevised, introducer.PeerNotFound, introducer.IntroductionSettled, introducer.PairRelayed:
		return e.Target.Tenant
	default:
		return e.Peer.Tenant
	}
}

func cellOf(e *introducer.Event) Cell {
	return Cell{e.Peer.Class.String(), e.Target.Class.String(), e.Plan.Strategy.String()}
}

func (r *Recorder) tally(e *introduced) {
	tenant := tenantOf(&e.Event)
	t := r.tallies[tenant]
	if t == nil {
		if len(r.tallies) >= maxTallies {
			return
		}
		t = &tally{cells: make(map[Cell]uint64), outcomes: make(map[Fate]uint64), history: ring[Share]{max: maxHistory}}
		r.tallies[tenant] = t
	}
	e.counted = cellOf(&e.Event)
	t.cells[e.counted]++
	from := e.At.Truncate(historyStep)
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
	case e.Plan.Strategy == strategy.Refuse:
		now.Refused++
	case e.Plan.Relay == strategy.RelayOnly:
		now.Relayed++
	case e.Plan.Relay == strategy.RelayBeside:
		now.Either++
	default:
		now.Direct++
	}
}

// recent lists introductions, the newest first. They are put into words after they were
// copied: whoever records waits for the lock, and that is the engine.
func (r *Recorder) recent(s scope, peer string, limit int) []Event {
	var found []introduced
	r.mu.Lock()
	for e := range r.introductions.newestFirst {
		if len(found) >= limit {
			break
		}
		if s.sees(tenantOf(&e.Event)) && (peer == "" || names(&e.Peer, peer) || names(&e.Target, peer)) {
			found = append(found, *e)
		}
	}
	r.mu.Unlock()
	list := make([]Event, len(found))
	for i := range found {
		list[i] = NewEvent(found[i].Event)
		if found[i].settled {
			list[i].Outcome = found[i].outcome.String()
		}
	}
	return list
}

// names reports whether id is p's, in hexadecimal digits.
func names(p *introducer.PeerInfo, id string) bool {
	return p.ID != (flash.PeerID{}) && p.ID.String() == id
}

// Matrix is what introductions were given, by the classes of the two peers, and
// over time, the oldest first.
type Matrix struct {
	Counts   []Count     `json:"counts"`
	Outcomes []FateCount `json:"outcomes"`
	History  []Share     `json:"history"`
}

func (r *Recorder) matrix(s scope) Matrix {
	cells, fates, steps := map[Cell]uint64{}, map[Fate]uint64{}, map[time.Time]*Share{}
	// One tenant at a time: whoever records waits for the lock, and that is the engine.
	add := func(tenant string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		t := r.tallies[tenant]
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
	r.mu.Lock()
	tenants := slices.Collect(maps.Keys(r.tallies))
	r.mu.Unlock()
	for _, tenant := range tenants {
		if s.sees(tenant) {
			add(tenant)
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
	if len(r.streams) >= maxAllStreams {
		return nil
	}
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
