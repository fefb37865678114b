package limit

import (
	"container/heap"
	"time"
)

// A Backlog orders the flows of one owner that have packets waiting by when to look at them. The zero
// Backlog is empty.
type Backlog struct{ flows byDue }

// place is a flow's in a Backlog.
type place struct {
	index int // in the heap, from 1; 0: in none
	// due is kept apart from the flow's deadline, which moves with the rate at any time: a heap's keys
	// must not.
	due time.Time
}

// Add is called after a Push.
func (b *Backlog) Add(now time.Time, f *Flow) {
	if f.backlog.index == 0 && f.queue.packets != 0 {
		f.schedule(now)
		heap.Push(&b.flows, f)
	}
}

// schedule looks at a flow again at its deadline, but also after an Interval, when its rate may be
// another.
func (f *Flow) schedule(now time.Time) {
	f.backlog.due = f.Deadline()
	if soon := now.Add(Interval); soon.Before(f.backlog.due) {
		f.backlog.due = soon
	}
}

// Remove forgets a flow, if it is there.
func (b *Backlog) Remove(f *Flow) {
	if f.backlog.index != 0 {
		heap.Remove(&b.flows, f.backlog.index-1)
	}
}

// Next tells when to Pop; the zero Time: nothing waits.
func (b *Backlog) Next() time.Time {
	if len(b.flows) == 0 {
		return time.Time{}
	}
	return b.flows[0].backlog.due
}

// Pop returns the next packet whose turn has come, of any flow, as Flow.Pop does.
func (b *Backlog) Pop(now time.Time) (f *Flow, data []byte, ecn uint8, ok bool) {
	for len(b.flows) > 0 && !b.flows[0].backlog.due.After(now) {
		f = b.flows[0]
		data, ecn, ok = f.Pop(now)
		if f.queue.packets == 0 {
			heap.Pop(&b.flows)
		} else {
			f.schedule(now)
			heap.Fix(&b.flows, 0)
		}
		if ok {
			return f, data, ecn, true
		}
	}
	return nil, nil, 0, false
}

// byDue is a heap.Interface.
type byDue []*Flow

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].backlog.due.Before(h[j].backlog.due) }

func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].backlog.index, h[j].backlog.index = i+1, j+1
}

func (h *byDue) Push(x any) {
	f := x.(*Flow)
	*h = append(*h, f)
	f.backlog.index = len(*h)
}

func (h *byDue) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	f.backlog.index = 0
	return f
}
