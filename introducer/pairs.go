package introducer

import (
	"net/netip"
	"time"

	"pileus/introducer/strategy"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/share"
)

const (
	// retriedWithin is when another tag for the same pair means that the last
	// introduction failed.
	retriedWithin = 120 * time.Second
	// retriedAfter is when it can mean that: before an initiator's first repeat
	// it cannot know that it failed. (Applications open several streams at once.)
	retriedAfter = time.Second
	// maxPairs bounds the pairs whose fate is remembered.
	maxPairs = 1 << 14
)

type pairKey struct{ initiator, target flash.PeerID }

// pairs remembers what became of introductions. The node never sees what goes
// between peers: all it can know is that one is asked for again, relayed, or
// reported about.
type pairs struct {
	cache *share.Cache[pairKey, *pairState]
}

type pairState struct {
	history strategy.History
	trial   *trial // the latest
}

func newPairs() pairs { return pairs{share.NewCache[pairKey, *pairState](maxPairs, 0, 0)} }

// of is what is remembered of a pair; nil: nothing.
func (m *pairs) of(initiator, target flash.PeerID) *pairState {
	s, _ := m.cache.Get(pairKey{initiator, target})
	return s
}

// failures is how often in a row the pair failed to meet.
func (m *pairs) failures(now time.Time, asker, target *Peer) int {
	if asker == nil {
		return 0
	}
	s := m.of(asker.ID(), target.ID())
	if s == nil {
		return 0
	}
	return s.history.Failures(now, asker.Addr(), target.Addr())
}

// retried is the introduction that failed if tag is another try at it: nil if the
// pair is new, is known to have met, or was told of nothing.
func (m *pairs) retried(now time.Time, asker, target *Peer, tag []byte) *pairState {
	if asker == nil {
		return nil
	}
	s := m.of(asker.ID(), target.ID())
	if s == nil || s.trial.tag == string(tag) || s.trial.met || s.trial.strategy == strategy.Refuse {
		return nil
	}
	if age := now.Sub(s.trial.at); age < retriedAfter || age > retriedWithin {
		return nil
	}
	return s
}

// began remembers what is being tried, for who is at addr. Under the tag of the latest it
// is that again, late.
func (m *pairs) began(t *trial, addr netip.Addr) *trial {
	if t.anonymous {
		return t
	}
	s := m.of(t.initiator, t.target)
	if s != nil && s.trial.tag == t.tag {
		s.trial.strategy, s.trial.account = t.strategy, t.account
		return s.trial
	}
	if s == nil {
		s = new(pairState)
		m.cache.Put(pairKey{t.initiator, t.target}, s, addr)
	}
	s.trial = t
	return t
}

// note lets an outcome of the latest introduction count for later plans, if both
// are here: it holds for their addresses.
func (m *pairs) note(now time.Time, s *pairState, o strategy.Outcome, peers directory) {
	initiator, target := peers[s.trial.initiator], peers[s.trial.target]
	if initiator != nil && target != nil {
		s.history.Note(o, s.trial.strategy, now, initiator.Addr(), target.Addr())
	}
}

// latest is the newer of the introductions of two peers, whoever asked.
func (m *pairs) latest(a, b flash.PeerID) *pairState {
	s, other := m.of(a, b), m.of(b, a)
	if s == nil || other != nil && other.trial.at.After(s.trial.at) {
		return other
	}
	return s
}
