package introducer

import "container/list"

// audience is those who are told the same things, in the order in which they came. To
// come and to leave costs the same however many there are, and whoever goes through them
// may pause while others come and leave. The zero audience is empty.
type audience[T any] struct {
	seats list.List // of *seat[T]
	walks []*walk[T]
	last  uint64 // the number of the latest seat
}

// seat is somebody's place in an audience.
type seat[T any] struct {
	who    T
	in     *audience[T] // nil: it has left
	at     *list.Element
	number uint64
}

func (a *audience[T]) len() int { return a.seats.Len() }

// come takes a seat behind all others.
func (a *audience[T]) come(who T) *seat[T] {
	a.last++
	s := &seat[T]{who: who, in: a, number: a.last}
	s.at = a.seats.PushBack(s)
	return s
}

// leave gives the seat up, if it is taken.
func (s *seat[T]) leave() {
	if s == nil || s.in == nil {
		return
	}
	for _, w := range s.in.walks {
		if w.next == s.at {
			w.next = s.at.Next()
		}
	}
	s.in.seats.Remove(s.at)
	s.in, s.at = nil, nil
}

// walk goes through those who are there when it begins, and have not left when it gets
// to them.
type walk[T any] struct {
	of   *audience[T]
	next *list.Element
	last uint64
}

// walk begins one. It has to be ended.
func (a *audience[T]) walk() *walk[T] {
	w := &walk[T]{of: a, next: a.seats.Front(), last: a.last}
	a.walks = append(a.walks, w)
	return w
}

// step is the next seat; nil: that was all.
func (w *walk[T]) step() *seat[T] {
	if w.next == nil {
		return nil
	}
	s := w.next.Value.(*seat[T]) //nolint:forcetypeassert // seats hold nothing else
	if s.number > w.last {
		w.next = nil
		return nil
	}
	w.next = w.next.Next()
	return s
}

func (w *walk[T]) end() {
	w.of.walks = without(w.of.walks, w)
	w.next = nil
}

// all goes through everybody, for as long as nobody comes or leaves.
func (a *audience[T]) all(yield func(T) bool) {
	for e := a.seats.Front(); e != nil; e = e.Next() {
		if !yield(e.Value.(*seat[T]).who) { //nolint:forcetypeassert // seats hold nothing else
			return
		}
	}
}
