package splice

import (
	"net/netip"
	"slices"
	"time"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// A splice is a pair of peers being relayed.
type splice struct {
	id, seq uint64
	table   *Table
	opened  time.Time
	peers   [2]flash.PeerID
	first   int // the side that called first
	sides   [2]side
	calls   []*call // being set up, oldest first
	keyed   bool    // an IIKeying went through
	goneAt  time.Time
	addrs   [2]netip.AddrPort // of the peers, as observed when it was ordered

	pair     *limit.Pair  // nil: it is only reserved
	reserved *reservation // then

	due   time.Time // in Table.timers
	place int       // there; -1: none
}

// A side is one of the two.
type side struct {
	splice *splice
	index  int
	socket int
	flow   *limit.Flow // what it sends

	source  netip.AddrPort // where it is; zero: not known yet
	before  netip.AddrPort // where it was before source; it has that back if it speaks
	changed time.Time      // when source was last believed to have changed
	last    time.Time      // when it last spoke
	ids     [maxIDs]wire.SessionID
	nextID  uint8

	verified netip.Addr // of its NetConnection
	proven   netip.Addr // another one, where it has answered
	doubts   []doubt
	doubted  bool // source has neither of the two
	rebind   bool
}

func (s *side) far() *side { return &s.splice.sides[1-s.index] }

// knows reports whether packets to this side carry id.
func (s *side) knows(id wire.SessionID) bool {
	for i := range s.ids {
		if s.ids[i] == id {
			return true
		}
	}
	return false
}

// learn adds an ID that this side chose.
func (s *side) learn(id wire.SessionID) {
	if id == (wire.SessionID{}) || s.knows(id) {
		return
	}
	s.ids[s.nextID] = id
	s.nextID = (s.nextID + 1) % maxIDs
}

// place sets where a side is.
func (t *Table) place(s *side, source netip.AddrPort) {
	at := &t.sockets[s.socket]
	if at.engine && s.source != source {
		at.remove(s)
		if source.IsValid() {
			at.bySource[source] = append(at.bySource[source], s)
		}
	}
	s.source = source
	s.doubted = source.IsValid() && !s.believes(source.Addr())
}

// remove takes s out of bySource.
func (at *socket) remove(s *side) {
	rest := slices.DeleteFunc(at.bySource[s.source], func(have *side) bool { return have == s })
	if len(rest) == 0 {
		delete(at.bySource, s.source)
	} else {
		at.bySource[s.source] = rest
	}
}

// rebound is the side that speaks from a new source, or from its old one again.
// Somebody who sends on a recorded packet must not turn a side's traffic to
// himself: so only on a port of one pair's side, from the IP address that the
// peer's NetConnection has proven, and only when the old source is silent. And who
// was silent for that long gets its place back with one packet.
func (t *Table) rebound(now time.Time, at *socket, source netip.AddrPort, id wire.SessionID) *side {
	if at.engine || !at.exclusive() {
		return nil
	}
	var found *side
	for _, s := range at.sides {
		if !s.far().knows(id) {
			continue
		}
		if found != nil {
			return nil
		}
		found = s
	}
	if found == nil || !found.source.IsValid() {
		return nil
	}
	s := found
	if s.before == source {
		s.source, s.before = source, netip.AddrPort{}
		return s
	}
	if !s.rebind || source.Addr() != s.verified || t.cfg.Guard.CheckClient(source, s.verified) != guard.Allowed ||
		now.Sub(s.last) < silentFor || !s.changed.IsZero() && now.Sub(s.changed) < rebindEvery {
		return nil
	}
	s.before, s.source, s.changed = s.source, source, now
	t.stats.Rebound++
	return s
}

// exclusive reports whether all sides at the port are one side of one pair.
func (at *socket) exclusive() bool {
	first := at.sides[0]
	for _, s := range at.sides[1:] {
		if s.index != first.index || s.splice.peers != first.splice.peers {
			return false
		}
	}
	return true
}

// end ends a splice.
func (t *Table) end(now time.Time, s *splice, why EndReason) {
	for _, c := range s.calls {
		t.forget(c)
	}
	s.calls = nil
	delete(t.splices, s.id)
	t.timers.remove(s)
	t.stats.Ends[why]++
	for i := range s.sides {
		t.forgetDoubts(&s.sides[i])
	}
	for _, p := range s.peers {
		if p == (flash.PeerID{}) {
			continue
		}
		rest := slices.DeleteFunc(t.byPeer[p], func(have *splice) bool { return have == s })
		if t.byPeer[p] = rest; len(rest) == 0 {
			delete(t.byPeer, p)
		}
	}
	if s.pair == nil {
		t.unbound--
		return // nobody else knows of it
	}
	for i := range s.sides {
		d := &s.sides[i]
		t.backlog.Remove(d.flow)
		at := &t.sockets[d.socket]
		if at.engine {
			at.remove(d)
		}
		at.sides = slices.DeleteFunc(at.sides, func(have *side) bool { return have == d })
	}
	t.ended = append(t.ended, Ended{ID: s.id, Seq: s.seq, Peers: s.peers, From: s.first, Reason: why, Keyed: s.keyed, Totals: s.pair.Close(now)})
}
