package share

import (
	"container/list"
	"net/netip"

	"pileus/rtmfp/udp"
)

// Queue has what many ask for wait, and hands it out in turns: one for each wide prefix,
// in that one for each prefix, and in that by age. So whoever asks for much, from however
// many addresses of one network, has others wait for one turn. The zero Queue is empty.
type Queue[T any] struct {
	root     branch[T]
	branches map[branchKey[T]]*branch[T] // those where somebody waits
}

type branchKey[T any] struct {
	of     *branch[T]
	prefix netip.Prefix
}

// branch is what one prefix waits for: in the branches of a wide one, by age in others.
type branch[T any] struct {
	branchKey[T]
	turns list.List     // of *branch[T]; the first is next
	items list.List     // of *Waiting[T]; the first is the oldest
	n     int           // that wait below
	turn  *list.Element // in of.turns, while anybody waits below
}

// Waiting is a place in a queue.
type Waiting[T any] struct {
	Value T
	addr  netip.Addr
	in    *branch[T]    // nil: it does not wait
	at    *list.Element // in in.items
}

// Len is how many wait.
func (q *Queue[T]) Len() int { return q.root.n }

// Add has v wait for somebody at addr.
func (q *Queue[T]) Add(addr netip.Addr, v T) *Waiting[T] {
	w := &Waiting[T]{Value: v, addr: addr}
	q.enter(w, false)
	return w
}

// Again has what Next took out wait before all else of its prefix, for a turn that
// comes after one of each other prefix.
func (q *Queue[T]) Again(w *Waiting[T]) { q.enter(w, true) }

// Last has what Next took out wait behind all else of its prefix.
func (q *Queue[T]) Last(w *Waiting[T]) { q.enter(w, false) }

func (q *Queue[T]) enter(w *Waiting[T], first bool) {
	wide := q.branch(&q.root, udp.WidePrefix(w.addr))
	w.in = q.branch(wide, udp.Prefix(w.addr))
	if first {
		w.at = w.in.items.PushFront(w)
	} else {
		w.at = w.in.items.PushBack(w)
	}
	for b := w.in; b != nil; b = b.of {
		if b.n++; b.n == 1 && b.of != nil {
			b.turn = b.of.turns.PushBack(b)
		}
	}
}

func (q *Queue[T]) branch(of *branch[T], prefix netip.Prefix) *branch[T] {
	key := branchKey[T]{of, prefix}
	b := q.branches[key]
	if b == nil {
		b = &branch[T]{branchKey: key}
		if q.branches == nil {
			q.branches = make(map[branchKey[T]]*branch[T])
		}
		q.branches[key] = b
	}
	return b
}

// Next takes out what is next; nil if nothing waits.
func (q *Queue[T]) Next() *Waiting[T] {
	if q.root.n == 0 {
		return nil
	}
	b := &q.root
	for b.items.Len() == 0 {
		e := b.turns.Front()
		b.turns.MoveToBack(e)
		b = e.Value.(*branch[T]) //nolint:forcetypeassert // turns hold nothing else
	}
	w := b.items.Front().Value.(*Waiting[T]) //nolint:forcetypeassert // items hold nothing else
	q.Remove(w)
	return w
}

// Longest is the latest of the prefix that has most, in the wide prefix that has most; nil
// if nothing waits. It looks at each.
func (q *Queue[T]) Longest() *Waiting[T] {
	if q.root.n == 0 {
		return nil
	}
	return q.root.longest().longest().items.Back().Value.(*Waiting[T]) //nolint:forcetypeassert // items hold nothing else
}

// longest is the branch where most wait; of equals the one whose turn is last.
func (b *branch[T]) longest() *branch[T] {
	var most *branch[T]
	for e := b.turns.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*branch[T]); most == nil || c.n >= most.n { //nolint:forcetypeassert // turns hold nothing else
			most = c
		}
	}
	return most
}

// Remove takes w out, if it waits.
func (q *Queue[T]) Remove(w *Waiting[T]) {
	if w.in == nil {
		return
	}
	w.in.items.Remove(w.at)
	for b := w.in; b != nil; b = b.of {
		if b.n--; b.n == 0 && b.of != nil {
			b.of.turns.Remove(b.turn)
			delete(q.branches, b.branchKey)
		}
	}
	w.in, w.at = nil, nil
}
