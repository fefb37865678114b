package splice

import (
	"container/heap"
	"time"
)

// timers has the splices by when they want to be looked at.
type timers []*splice

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *timers) Push(x any) {
	s := x.(*splice)
	s.place = len(*h)
	*h = append(*h, s)
}

func (h *timers) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	s.place = -1
	return s
}

func (h *timers) set(s *splice, due time.Time) {
	s.due = due
	if s.place < 0 {
		heap.Push(h, s)
	} else {
		heap.Fix(h, s.place)
	}
}

func (h *timers) remove(s *splice) {
	if s.place >= 0 {
		heap.Remove(h, s.place)
	}
}

func (h timers) next() time.Time {
	if len(h) == 0 {
		return time.Time{}
	}
	return h[0].due
}

// due returns the splice to look at; it has to be set again, or removed.
func (h timers) due(now time.Time) *splice {
	if len(h) == 0 || h[0].due.After(now) {
		return nil
	}
	return h[0]
}

// schedule sets when s is looked at next. Packets only move that later, so they
// need not touch it.
func (t *Table) schedule(s *splice) {
	var due time.Time
	earlier := func(at time.Time) {
		if !at.IsZero() && (due.IsZero() || at.Before(due)) {
			due = at
		}
	}
	if s.keyed { // else the last call's end is the splice's
		earlier(s.quiet(t.cfg.Idle))
	}
	earlier(s.goneAt)
	if t.cfg.MaxLifetime > 0 {
		earlier(s.opened.Add(t.cfg.MaxLifetime))
	}
	for _, c := range s.calls {
		earlier(c.deadline())
	}
	for i := range s.sides {
		for j := range s.sides[i].doubts {
			earlier(s.sides[i].doubts[j].due())
		}
	}
	t.timers.set(s, due)
}

// quiet is when the splice has been idle: a side silent for so long has gone.
func (s *splice) quiet(idle time.Duration) time.Time {
	last := s.sides[0].last
	if s.sides[1].last.Before(last) {
		last = s.sides[1].last
	}
	return last.Add(idle)
}

// advance does what is due for s.
func (t *Table) advance(now time.Time, s *splice) {
	for i := 0; i < len(s.calls); {
		c := s.calls[i]
		if !now.Before(c.expires) {
			t.cancel(c)
			continue
		}
		t.advanceCall(now, c)
		i++
	}
	for i := range s.sides {
		t.askAgain(now, &s.sides[i])
	}
	switch {
	case !s.goneAt.IsZero() && !now.Before(s.goneAt):
		t.end(now, s, EndGone)
	case !s.keyed && len(s.calls) == 0:
		t.end(now, s, EndUnbound)
	case s.keyed && !now.Before(s.quiet(t.cfg.Idle)):
		t.end(now, s, EndIdle)
	case t.cfg.MaxLifetime > 0 && !now.Before(s.opened.Add(t.cfg.MaxLifetime)):
		t.end(now, s, EndLifetime)
	default:
		t.schedule(s)
	}
}
