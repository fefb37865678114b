package rtmfp

import (
	"container/heap"
	"time"
)

// A timerQueue orders what waits for the clock by its next deadline, in time
// since the engine's epoch. A session's entry may be earlier than its true
// deadline: it is then put back when it comes up, which is cheaper than moving
// it for every packet.
type timerQueue []*timerEntry

// timerEntry is a place in the queue.
type timerEntry struct {
	at     time.Duration
	owner  interface{ advance() }
	index  int
	queued bool
}

func (q *timerQueue) next() (time.Duration, bool) {
	if len(*q) == 0 {
		return 0, false
	}
	return (*q)[0].at, true
}

// due removes and returns an entry that has come up, or nil.
func (q *timerQueue) due(now time.Duration) *timerEntry {
	if at, ok := q.next(); !ok || at > now {
		return nil
	}
	return heap.Pop(q).(*timerEntry)
}

// schedule makes sure that t comes up no later than at.
func (q *timerQueue) schedule(t *timerEntry, at time.Duration) {
	switch {
	case !t.queued:
		t.at = at
		heap.Push(q, t)
	case at < t.at:
		t.at = at
		heap.Fix(q, t.index)
	}
}

func (q *timerQueue) remove(t *timerEntry) {
	if t.queued {
		heap.Remove(q, t.index)
	}
}

func (q timerQueue) Len() int           { return len(q) }
func (q timerQueue) Less(i, j int) bool { return q[i].at < q[j].at }

func (q timerQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *timerQueue) Push(x any) {
	t := x.(*timerEntry)
	t.index, t.queued = len(*q), true
	*q = append(*q, t)
}

// Pop implements heap.Interface.
func (q *timerQueue) Pop() any {
	old := *q
	n := len(old) - 1
	t := old[n]
	old[n] = nil
	*q = old[:n]
	t.queued = false
	return t
}

// Timer is a call that waits for the engine's clock.
type Timer struct {
	entry timerEntry
	f     func()
	e     *Engine
}

// After has f called, on the engine's goroutine, d from now.
func (e *Engine) After(d time.Duration, f func()) *Timer {
	t := &Timer{f: f, e: e}
	t.entry.owner = t
	e.timers.schedule(&t.entry, e.now.Add(d).Sub(e.epoch))
	return t
}

// Stop prevents the call, if it has not happened.
func (t *Timer) Stop() { t.e.timers.remove(&t.entry) }

func (t *Timer) advance() { t.f() }
