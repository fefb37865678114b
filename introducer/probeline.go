package introducer

import (
	"time"

	"pileus/rtmfp"
)

// probeLine is the rounds that wait for the node's rate: those that have begun
// before those that have not, and else first come first served. One timer serves
// all: a crowd that joins at once costs no more.
type probeLine struct {
	begun, fresh []*probing
	timer        *rtmfp.Timer
	clock        time.Time // when all that was sent so far is paid for
	credit       time.Duration

	part  int        // of the rate: an n-th; 0: all
	whole *probeLine // that it is a part of
}

// doorPart of the node's rate, one in so many, is what clients may take together whose
// connect has not been accepted.
const doorPart = 4

// empty reports whether nobody waits.
func (l *probeLine) empty() bool { return len(l.begun)+len(l.fresh) == 0 }

// allows reports whether a round may go on. What the planner then asks for is
// sent at once, whatever the rate: it counts the time from there. The rate holds
// in the long run.
func (l *probeLine) allows(now time.Time) bool {
	return !l.clock.After(now.Add(l.credit)) && (l.whole == nil || l.whole.allows(now))
}

// sent notes a packet.
func (l *probeLine) sent(now time.Time, rate int) {
	each := time.Second / time.Duration(rate) * time.Duration(max(l.part, 1))
	l.credit = probeBurst * each
	if l.clock.Before(now) {
		l.clock = now
	}
	l.clock = l.clock.Add(each)
	if l.whole != nil {
		l.whole.sent(now, rate)
	}
}

// lineOf is the line that p's rounds wait in.
func (n *Node) lineOf(p *Peer) *probeLine {
	if p.admitted {
		return &n.line
	}
	return &n.doorLine
}

func (l *probeLine) queueUp(e *rtmfp.Engine, n *Node, r *probing) {
	r.line = l
	if r.planner != nil {
		l.begun = append(l.begun, r)
	} else {
		l.fresh = append(l.fresh, r)
	}
	if l.timer == nil {
		l.timer = e.After(lineInterval, func() { l.serve(e, n) })
	}
}

// serve lets the rounds that wait go on, until the first has to wait again.
func (l *probeLine) serve(e *rtmfp.Engine, n *Node) {
	l.timer = nil
	for l.timer == nil && !l.empty() {
		from := &l.begun
		if len(*from) == 0 {
			from = &l.fresh
		}
		r := (*from)[0]
		(*from)[0] = nil
		*from = (*from)[1:]
		if r.line != l { // it waits no more, or in another line
			continue
		}
		if r.line = nil; r.peer.probing == r { // it has not ended meanwhile
			r.step()
		}
	}
}
