package introducer

import (
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/share"
)

// probeLine is the rounds that wait for the node's rate: those that have begun
// before those that have not, and else by turns of prefixes. One timer serves
// all: a crowd that joins at once costs no more.
type probeLine struct {
	begun, fresh share.Queue[*probing]
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
func (l *probeLine) empty() bool { return l.begun.Len()+l.fresh.Len() == 0 }

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

// lineUp is a round's place in a line.
type lineUp struct {
	in    *probeLine // nil: it does not wait
	queue *share.Queue[*probing]
	at    *share.Waiting[*probing]
}

func (l *probeLine) queueUp(e *rtmfp.Engine, r *probing) {
	q := &l.fresh
	if r.planner != nil {
		q = &l.begun
	}
	r.line = lineUp{l, q, q.Add(r.peer.Addr().Addr(), r)}
	if l.timer == nil {
		l.timer = e.After(lineInterval, l.serve)
	}
}

// stepOut ends the waiting.
func (u *lineUp) stepOut() {
	if u.in != nil {
		u.queue.Remove(u.at)
		*u = lineUp{}
	}
}

// serve lets the rounds that wait go on, until the first has to wait again.
func (l *probeLine) serve() {
	l.timer = nil
	for l.timer == nil {
		w := l.begun.Next()
		if w == nil {
			w = l.fresh.Next()
		}
		if w == nil {
			return
		}
		r := w.Value
		r.line = lineUp{}
		r.step()
	}
}
