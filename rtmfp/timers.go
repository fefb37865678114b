package rtmfp

import (
	"container/heap"
	"time"
)

// A timerQueue orders sessions by their next deadline, in time since the
// engine's epoch. A session's entry may be earlier than its true deadline: it
// is then put back when it comes up, which is cheaper than moving it for every
// packet.
type timerQueue []*Session

func (q *timerQueue) next() (time.Duration, bool) {
	if len(*q) == 0 {
		return 0, false
	}
	return (*q)[0].timer.at, true
}

// due removes and returns a session whose entry has come up, or nil.
func (q *timerQueue) due(now time.Duration) *Session {
	if at, ok := q.next(); !ok || at > now {
		return nil
	}
	s := heap.Pop(q).(*Session)
	return s
}

// schedule makes sure that s comes up no later than at.
func (q *timerQueue) schedule(s *Session, at time.Duration) {
	switch {
	case !s.timer.queued:
		s.timer.at = at
		heap.Push(q, s)
	case at < s.timer.at:
		s.timer.at = at
		heap.Fix(q, s.timer.index)
	}
}

func (q *timerQueue) remove(s *Session) {
	if s.timer.queued {
		heap.Remove(q, s.timer.index)
	}
}

// timerEntry is a session's place in the queue.
type timerEntry struct {
	at     time.Duration
	index  int
	queued bool
}

func (q timerQueue) Len() int           { return len(q) }
func (q timerQueue) Less(i, j int) bool { return q[i].timer.at < q[j].timer.at }

func (q timerQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].timer.index, q[j].timer.index = i, j
}

// Push implements heap.Interface.
func (q *timerQueue) Push(x any) {
	s := x.(*Session)
	s.timer.index, s.timer.queued = len(*q), true
	*q = append(*q, s)
}

// Pop implements heap.Interface.
func (q *timerQueue) Pop() any {
	old := *q
	n := len(old) - 1
	s := old[n]
	old[n] = nil
	*q = old[:n]
	s.timer.queued = false
	return s
}
