package introducer

import (
	"net/netip"
	"time"

	"pileus/rtmfp/flow"
	"pileus/rtmfp/share"
)

// sought is what others want of one peer.
type sought struct {
	rate share.Meter // questions for it
	n    int         // introductions under way to it
	// by is where those are who want to meet it; nil while they are few.
	by *share.Ledger
}

// fewSeekers is how many introductions to one peer are not told apart by where they come
// from.
const fewSeekers = 64

// enter has an introduction be one of those that are repeated and watched. False: there
// are too many, or too many of where it comes from.
func (in *introduction) enter() bool {
	n, from := in.node, in.from.Addr()
	if n.crowded(in.target, from) {
		n.stats.Crowded++
		return false
	}
	if in.holder().Take(n.ledger, from, int(SharedIntroductions)) != flow.Granted {
		return false
	}
	in.attend()
	return true
}

// holder is who has the introduction: an anonymous initiator is as many as it has
// introductions.
func (in *introduction) holder() *share.Holder {
	if in.asker == nil {
		return &in.alone
	}
	return &in.asker.holds
}

// crowded reports whether those at from have as many introductions to one peer as may be
// while there are many to it, and to all.
func (n *Node) crowded(target *Peer, from netip.Addr) bool {
	part := n.limits.Introductions * n.limits.TargetShare / 100
	return part > 0 && n.ledger.Whole(int(SharedIntroductions)).Strained() &&
		target.sought.n > part/2 && target.sought.by != nil && target.sought.by.Over(from, 0)
}

// attend has both peers bring the introduction what is found out of them.
func (in *introduction) attend() {
	t := in.target
	in.seats[1] = t.introductions.come(in)
	if in.asker != nil {
		in.seats[0] = in.asker.introductions.come(in)
	}
	t.sought.n++
	switch {
	case t.sought.by != nil:
		in.crowd.Hold(t.sought.by, in.from.Addr(), 0)
	case t.sought.n > fewSeekers:
		l := &in.node.limits
		t.sought.by = share.NewLedger(1)
		t.sought.by.Set(0, share.Limits{Total: int64(max(1, l.Introductions*l.TargetShare/100)), Prefix: l.Share, Wide: l.WideShare})
		for other := range t.introductions.all {
			if other.target == t {
				other.crowd.Hold(t.sought.by, other.from.Addr(), 0)
			}
		}
	}
}

func (in *introduction) leave() {
	for _, s := range in.seats {
		s.leave()
	}
	if in.crowd.Held(0) > 0 {
		in.crowd.Give(0)
	}
	if in.target.sought.n--; in.target.sought.n == 0 {
		in.target.sought.by = nil
	}
	in.holder().Give(int(SharedIntroductions))
}

// review is going through the introductions of a peer of whom something was found out.
type review struct {
	under, again bool
	moved        bool // its address has changed: nothing that was known holds
}

// learned lets the introductions of p be decided by what has been found out of it.
func (n *Node) learned(p *Peer) { n.reconsider(p, false) }

// moved does the same for a peer that has another address, of which nothing is known
// yet.
func (n *Node) moved(p *Peer) { n.reconsider(p, true) }

// reconsider considers all introductions of p, some at a time: somebody whom all want to
// meet may have thousands.
func (n *Node) reconsider(p *Peer, moved bool) {
	r := &p.review
	r.moved = r.moved || moved
	if r.under {
		r.again = true
		return
	}
	if p.introductions.len() == 0 {
		r.moved = false
		return
	}
	r.under, moved, r.moved = true, r.moved, false
	walk := p.introductions.walk()
	n.spread(&n.reviews, p.session.Engine(), p.Addr().Addr(), &spread{step: func() bool {
		s := walk.step()
		if s != nil {
			if moved {
				s.who.held = time.Time{}
			}
			s.who.consider()
			return true
		}
		walk.end()
		if r.under = false; r.again {
			r.again = false
			n.reconsider(p, false)
		}
		return false
	}})
}
