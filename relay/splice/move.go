package splice

import (
	"iter"
	"time"

	"pileus/rtmfp/flash"
)

// pairOf is the splices of the two peers of s, itself among them.
func (t *Table) pairOf(s *splice) iter.Seq[*splice] {
	return func(yield func(*splice) bool) {
		known := s.peers[0]
		if known == (flash.PeerID{}) {
			known = s.peers[1]
		}
		for _, other := range t.byPeer[known] {
			if other.peers == s.peers && !yield(other) {
				return
			}
		}
	}
}

// tagged is the call of a splice with that tag, or nil.
func (s *splice) tagged(tag []byte) *call {
	for _, c := range s.calls {
		if c.tag == string(tag) {
			return c
		}
	}
	return nil
}

// move takes what is known of an introduction from where it was to be relayed before:
// who decides has learned more of the two. It reports whether the call may begin: not
// once its IIKeying has gone the other way, for that cannot be undone.
func (t *Table) move(now time.Time, c *call) bool {
	var from *splice
	var old *call
	for s := range t.pairOf(c.splice) {
		if have := s.tagged([]byte(c.tag)); have != nil && s != c.splice {
			from, old = s, have
		}
	}
	switch {
	case old == nil:
		return true
	case old.keyed:
		return false
	}
	t.cancel(old)
	c.crossed = old.crossed
	for i := range c.splice.sides {
		if c.splice.sides[i].socket != from.sides[i].socket {
			continue
		}
		c.source[i] = old.source[i]
		switch {
		case i == c.from:
			c.hello = old.hello
		case len(old.cookies) > 0 && t.admit(c, []byte(old.cookies[0])):
			c.rhello, c.held = kept{data: old.rhello.data, tos: old.rhello.tos}, now.Add(c.hold)
			c.certificate = old.certificate
		}
	}
	t.stats.Moved++
	if len(from.calls) == 0 && !from.keyed {
		t.end(now, from, EndUnbound)
	}
	return true
}
