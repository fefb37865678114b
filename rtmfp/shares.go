package rtmfp

import (
	"cmp"
	"slices"
	"time"

	"pileus/rtmfp/flow"
	"pileus/rtmfp/share"
)

// SharedLimits bound what all sessions take together; 0 is none.
type SharedLimits struct {
	// Memory is in bytes: messages and fragments that wait, in either direction, and
	// what sessions and flows take beside. From three quarters of it on nothing is kept
	// behind a gap, from seven eighths on no session opens, and above it those who hold
	// most are closed.
	Memory int64
	// Sessions is their number, those included that nobody has used yet.
	Sessions int
	// Share and WideShare, in percent, are what one prefix (/24 or /56) and one wide prefix
	// (/16 or /32) may have of either, once more than half of it is in use.
	Share, WideShare int
}

// What sessions share.
const (
	sharedMemory = iota
	sharedSessions
	sharedThings
)

// shares is what sessions take together, and by whom.
type shares struct {
	limits   SharedLimits
	ledger   *share.Ledger
	relieved time.Time // for a session that wanted to open

	refused     int64     // of memory's Refused, when it was looked at last
	refusedAt   time.Time // when that had grown
	refusedFrom time.Time // since when it has been growing; zero: it is not
}

func (t *shares) memory() *flow.Account   { return t.ledger.Whole(sharedMemory) }
func (t *shares) sessions() *flow.Account { return t.ledger.Whole(sharedSessions) }

// sessionMemory is what a session takes beside certificate and flows, in bytes: keys,
// and what its handler in a node knows of its far end.
const sessionMemory = 6 << 10

func (t *shares) set(l SharedLimits) {
	t.limits = l
	t.ledger.Set(sharedMemory, share.Limits{Total: l.Memory, Prefix: l.Share, Wide: l.WideShare})
	t.ledger.Set(sharedSessions, share.Limits{Total: int64(cmp.Or(l.Sessions, maxSessions)), Prefix: l.Share, Wide: l.WideShare})
}

// strained reports whether more than half of anything is in use.
func (t *shares) strained() bool { return t.memory().Strained() || t.sessions().Strained() }

// ask tells whether a session that takes so much memory may open to somebody in p.
func ask(p *share.Place, memory int64) flow.Refusal {
	return max(p.Account(sharedMemory).Ask(memory, openable), p.Account(sharedSessions).Ask(1, 8))
}

// full is which of p and its wide prefix has its share.
func full(p *share.Place, memory int64) *share.Place {
	if p.Account(sharedMemory).Exceeds(memory) || p.Account(sharedSessions).Exceeds(1) {
		return p
	}
	return p.Wide()
}

// room reports whether a session that takes so much memory may open to somebody in p. One
// that nobody has used yet gives way to it: of all if there is no room for anybody, else of
// the prefix that has its share.
func (e *Engine) room(p *share.Place, memory int64) (DropReason, bool) {
	for range maxGiveWay {
		switch ask(p, memory) {
		case flow.Granted:
			return 0, true
		case flow.OverLimit:
			if !e.oldestGivesWay(nil) && !e.relieveFor(memory) {
				return DropBusy, false
			}
		case flow.OverShare:
			if !e.oldestGivesWay(full(p, memory)) {
				return DropShare, false
			}
		}
	}
	return DropBusy, false
}

// oldestGivesWay ends the session of p, or of anybody, that has gone unused for longest.
func (e *Engine) oldestGivesWay(p *share.Place) bool {
	looked := 0
	for at := e.unproven.byAge.Front(); at != nil && looked < maxGiveWayLook; at = at.Next() {
		s := at.Value.(*Session)
		if p == nil || s.home == p || s.home.Wide() == p {
			return e.giveWay(s)
		}
		looked++
	}
	return false
}

// settle has a session that opened, or moved, count where its far end is.
func (s *Session) settle() {
	t := &s.engine.shares
	was := s.home
	s.home = t.ledger.Enter(s.addr.Addr())
	s.home.Account(sharedSessions).Add(1)
	s.memory.Move(s.home.Account(sharedMemory))
	if was != nil {
		was.Account(sharedSessions).Add(-1)
		was.Leave()
		return
	}
	s.base = sessionMemory + int64(len(s.far.Raw()))
	s.memory.Add(s.base)
}

// unsettle is for a session that is over.
func (s *Session) unsettle() {
	if s.home == nil {
		return
	}
	s.memory.Add(-s.base)
	s.home.Account(sharedSessions).Add(-1)
	s.home.Leave()
	s.home = nil
}

// Parts of the memory's limit, in eighths: that up to which sessions open, so that those
// that are open have room to talk; and that down to which they are closed.
const (
	openable   = 7
	relievable = 6
	unhoarded  = 5
)

// hoard is what a session holds that may be closed for others to open, in bytes: more
// than clients with nothing in mind hold for long.
const hoard = sessionMemory + 32<<10

// hoardTimeout is how long others are refused memory before those who hold much are
// closed, though all together hold no more than they may; hoardPause is how long nobody
// is, for that to be over.
const (
	hoardTimeout = 10 * time.Second
	hoardPause   = 5 * time.Second
)

// relieve closes those who hold most, while all together hold too much, or have others
// refused for long.
func (e *Engine) relieve() {
	t := &e.shares
	if t.memory().Over() {
		e.closeHolders(0, relievable)
	}
	switch n := t.memory().Refused(); {
	case n == t.refused:
		if e.now.Sub(t.refusedAt) > hoardPause {
			t.refusedFrom = time.Time{}
		}
	case t.refusedFrom.IsZero():
		t.refused, t.refusedAt, t.refusedFrom = n, e.now, e.now
	default:
		if t.refused, t.refusedAt = n, e.now; e.now.Sub(t.refusedFrom) >= hoardTimeout {
			t.refusedFrom = time.Time{}
			e.closeHolders(hoard, unhoarded)
		}
	}
}

// relieveFor does so for one that wants to open, once a second, if anybody holds much.
func (e *Engine) relieveFor(memory int64) bool {
	if e.shares.memory().Ask(memory, openable) == flow.Granted || e.now.Sub(e.shares.relieved) < time.Second {
		return false
	}
	e.shares.relieved = e.now
	return e.closeHolders(hoard, relievable)
}

// closeHolders closes those who hold most, and more than least, until all hold so many
// eighths of the limit: until looking for them again is far away.
func (e *Engine) closeHolders(least, eighths int64) (closed bool) {
	var holders []*Session
	for _, s := range e.sessions {
		if s.memory.Held() > least {
			holders = append(holders, s)
		}
	}
	slices.SortFunc(holders, func(a, b *Session) int { return cmp.Compare(b.memory.Held(), a.memory.Held()) })
	enough := e.shares.memory().Limit() / 8 * eighths
	for _, s := range holders {
		if e.shares.memory().Held() <= enough {
			break
		}
		e.stats.Relieved++
		s.Abort(ErrMemory)
		closed = true
	}
	return closed
}

// SetSharedLimits replaces Config.Shared.
func (e *Engine) SetSharedLimits(l SharedLimits) { e.shares.set(l) }
