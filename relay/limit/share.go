package limit

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
)

// maxUses is how many limits one flow shares with others: of who sends, of who receives, of their
// tenant and of the node.
const maxUses = 4

// A share is what a flow wants and gets, in any unit.
type share struct {
	want float64
	uses [maxUses]int32 // indexes of the bounds it counts against; below 0: none
	got  float64
	done bool
}

// A bound is a limit that flows share.
type bound struct {
	capacity float64
	spare    float64 // what no share got
	open     int     // shares not settled
	uses     []int32 // its shares
	index    int     // in the heap
}

// An allocator divides limits among flows. It keeps its memory from one fill to the next.
type allocator struct {
	shares []share
	bounds []bound
	order  []int32
	heap   byLevel
}

// reset begins a fill. Bounds and shares are then added, bounds first.
func (a *allocator) reset() {
	a.shares, a.bounds = a.shares[:0], a.bounds[:0]
}

func (a *allocator) bound(capacity float64) int32 {
	n := len(a.bounds)
	a.bounds = slices.Grow(a.bounds, 1)[:n+1]
	a.bounds[n] = bound{capacity: capacity, uses: a.bounds[n].uses[:0]}
	return int32(n)
}

// share adds a flow that wants so much, and may want everything (infinity).
func (a *allocator) share(want float64, uses [maxUses]int32) int {
	for _, u := range uses {
		if u >= 0 {
			a.bounds[u].uses = append(a.bounds[u].uses, int32(len(a.shares)))
		}
	}
	a.shares = append(a.shares, share{want: want, uses: uses})
	return len(a.shares) - 1
}

// fill gives each share what max-min fairness says: nobody's can be raised without lowering one that is
// no larger. The water rises for all alike; a share stops at what it wants, or where one of its bounds
// is full.
func (a *allocator) fill() {
	a.order = a.order[:0]
	for i := range a.shares {
		a.order = append(a.order, int32(i))
	}
	slices.SortFunc(a.order, func(i, j int32) int { return cmp.Compare(a.shares[i].want, a.shares[j].want) })
	a.heap = a.heap[:0]
	for i := range a.bounds {
		b := &a.bounds[i]
		b.spare, b.open = b.capacity, len(b.uses)
		if b.open > 0 {
			b.index = len(a.heap)
			a.heap = append(a.heap, b)
		}
	}
	heap.Init(&a.heap)
	for _, i := range a.order {
		s := &a.shares[i]
		// All bounds that are full before the water is as high as this share wants.
		for len(a.heap) > 0 && a.heap[0].level() < s.want {
			full := heap.Pop(&a.heap).(*bound)
			level := full.level()
			for _, j := range full.uses {
				if !a.shares[j].done {
					a.settle(&a.shares[j], level)
				}
			}
			full.spare = 0
		}
		if !s.done {
			a.settle(s, s.want)
		}
	}
}

// level is how high the water would rise in this bound alone. Settling a share at or below it never
// lowers it.
func (b *bound) level() float64 {
	if b.open == 0 {
		return math.Inf(1)
	}
	return b.spare / float64(b.open)
}

func (a *allocator) settle(s *share, got float64) {
	s.got, s.done = got, true
	for _, u := range s.uses {
		if u < 0 {
			continue
		}
		b := &a.bounds[u]
		b.spare = max(0, b.spare-got)
		b.open--
		if b.index >= 0 {
			heap.Fix(&a.heap, b.index)
		}
	}
}

// newcomer is what one more flow of these bounds may have at once: what nobody has, or its share if all
// shared alike, whichever is more.
func (a *allocator) newcomer(uses [maxUses]int32) float64 {
	got := math.Inf(1)
	for _, u := range uses {
		if u >= 0 {
			b := &a.bounds[u]
			got = min(got, max(b.spare, b.capacity/float64(len(b.uses)+1)))
		}
	}
	return got
}

// byLevel is a heap.Interface.
type byLevel []*bound

func (h byLevel) Len() int           { return len(h) }
func (h byLevel) Less(i, j int) bool { return h[i].level() < h[j].level() }

func (h byLevel) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byLevel) Push(any) {} // all are there from the start

func (h *byLevel) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	*h = (*h)[:last]
	b.index = -1
	return b
}
