package introducer

import (
	"time"

	"pileus/introducer/strategy"
	"pileus/rtmfp/flash"
)

const (
	// retriedWithin is when another tag for the same pair means that the last
	// introduction failed.
	retriedWithin = 120 * time.Second
	// maxPairs bounds the pairs whose fate is remembered.
	maxPairs = 1 << 14
)

type pairKey struct{ initiator, target flash.PeerID }

// pairs remembers what became of introductions. The node never sees what goes
// between peers: all it can know is that one is asked for again.
type pairs struct {
	byKey map[pairKey]*pairState
	order []pairKey // oldest first
}

type pairState struct {
	history strategy.History
	tried   strategy.Strategy
	tag     string
	at      time.Time
}

func (m *pairs) failures(in *introduction) int {
	if in.asker == nil {
		return 0
	}
	s := m.byKey[pairKey{in.asker.ID(), in.target.ID()}]
	if s == nil {
		return 0
	}
	return s.history.Failures(in.engine.Now(), in.asker.Addr(), in.target.Addr())
}

// retried notes a failure if in is another try at a pair that was introduced
// lately, and reports whether it is.
func (m *pairs) retried(in *introduction) bool {
	if in.asker == nil {
		return false
	}
	now := in.engine.Now()
	s := m.byKey[pairKey{in.asker.ID(), in.target.ID()}]
	if s == nil || s.tag == string(in.tag) || now.Sub(s.at) > retriedWithin {
		return false
	}
	s.history.Note(strategy.Retried, s.tried, now, in.asker.Addr(), in.target.Addr())
	return true
}

// began remembers what is being tried.
func (m *pairs) began(in *introduction) {
	if in.asker == nil {
		return
	}
	key := pairKey{in.asker.ID(), in.target.ID()}
	s := m.byKey[key]
	if s == nil {
		if m.byKey == nil {
			m.byKey = make(map[pairKey]*pairState)
		}
		if len(m.order) >= maxPairs {
			delete(m.byKey, m.order[0])
			m.order = m.order[1:]
		}
		s = new(pairState)
		m.byKey[key] = s
		m.order = append(m.order, key)
	}
	s.tried, s.tag, s.at = in.plan.Strategy, string(in.tag), in.engine.Now()
}
