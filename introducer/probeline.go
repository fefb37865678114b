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
}

// empty reports whether nobody waits.
func (l *probeLine) empty() bool { return len(l.begun)+len(l.fresh) == 0 }

// allows reports whether a round may go on. What the planner then asks for is
// sent at once, whatever the rate: it counts the time from there. The rate holds
// in the long run.
func (l *probeLine) allows(now time.Time) bool { return !l.clock.After(now.Add(l.credit)) }

// sent notes a packet.
func (l *probeLine) sent(now time.Time, rate int) {
	each := time.Second / time.Duration(rate)
	l.credit = probeBurst * each
	if l.clock.Before(now) {
		l.clock = now
	}
	l.clock = l.clock.Add(each)
}

func (n *Node) queueUp(e *rtmfp.Engine, r *probing) {
	l := &n.line
	r.waiting = true
	if r.planner != nil {
		l.begun = append(l.begun, r)
	} else {
		l.fresh = append(l.fresh, r)
	}
	if l.timer == nil {
		l.timer = e.After(lineInterval, n.serveLine)
	}
}

// serveLine lets the rounds that wait go on, until the first has to wait again.
func (n *Node) serveLine() {
	l := &n.line
	l.timer = nil
	for l.timer == nil && !l.empty() {
		from := &l.begun
		if len(*from) == 0 {
			from = &l.fresh
		}
		r := (*from)[0]
		(*from)[0] = nil
		*from = (*from)[1:]
		r.waiting = false
		if r.peer.probing == r { // it has not ended meanwhile
			r.step()
		}
	}
}
