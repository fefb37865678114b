package share

import (
	"container/list"
	"iter"
	"net/netip"

	"pileus/rtmfp/udp"
)

// Cache remembers something for each of so many keys, and forgets the oldest for another.
// While it is more than half full, whoever has a share of it loses an own one instead: so
// nobody has it forget what others need. Use it from one goroutine.
type Cache[K comparable, V any] struct {
	size         int
	prefix, wide int // percent; 0: any part
	entries      map[K]*remembered[K, V]
	all          list.List // of *remembered, the oldest first, as below
	prefixes     map[netip.Prefix]*list.List
}

type remembered[K comparable, V any] struct {
	key   K
	value V
	where [2]netip.Prefix // wide and narrow
	at    [3]*list.Element
}

// NewCache makes a cache of that size, in which a prefix and a wide prefix have shares in
// percent; 0: any part.
func NewCache[K comparable, V any](size, prefix, wide int) *Cache[K, V] {
	return &Cache[K, V]{
		size: size, prefix: prefix, wide: wide,
		entries: make(map[K]*remembered[K, V]), prefixes: make(map[netip.Prefix]*list.List),
	}
}

// SetShares changes the shares, for what is remembered from now on.
func (c *Cache[K, V]) SetShares(prefix, wide int) { c.prefix, c.wide = prefix, wide }

// Len is how many are remembered.
func (c *Cache[K, V]) Len() int { return c.all.Len() }

// Get is what is remembered of a key.
func (c *Cache[K, V]) Get(k K) (v V, known bool) {
	if e := c.entries[k]; e != nil {
		return e.value, true
	}
	return v, false
}

// Put remembers v for a key, which is somebody's at addr. One that is known keeps its age
// and its owner.
func (c *Cache[K, V]) Put(k K, v V, addr netip.Addr) {
	if e := c.entries[k]; e != nil {
		e.value = v
		return
	}
	e := &remembered[K, V]{key: k, value: v, where: [2]netip.Prefix{udp.WidePrefix(addr), udp.Prefix(addr)}}
	if old := c.inTheWay(e); old != nil {
		c.remove(old)
	}
	c.entries[k] = e
	e.at[0] = c.all.PushBack(e)
	for i, p := range e.where {
		l := c.prefixes[p]
		if l == nil {
			l = new(list.List)
			c.prefixes[p] = l
		}
		e.at[1+i] = l.PushBack(e)
	}
}

// inTheWay is what has to be forgotten for e; nil: nothing.
func (c *Cache[K, V]) inTheWay(e *remembered[K, V]) *remembered[K, V] {
	if c.all.Len() > c.size/2 {
		for i, percent := range []int{c.wide, c.prefix} {
			if l := c.prefixes[e.where[i]]; percent > 0 && l != nil && l.Len() >= max(1, c.size*percent/100) {
				return l.Front().Value.(*remembered[K, V]) //nolint:forcetypeassert // lists hold nothing else
			}
		}
	}
	if c.all.Len() >= c.size {
		return c.all.Front().Value.(*remembered[K, V]) //nolint:forcetypeassert // lists hold nothing else
	}
	return nil
}

// Oldest is what has been remembered for longest.
func (c *Cache[K, V]) Oldest() (k K, v V, ok bool) {
	f := c.all.Front()
	if f == nil {
		return k, v, false
	}
	e := f.Value.(*remembered[K, V]) //nolint:forcetypeassert // lists hold nothing else
	return e.key, e.value, true
}

// Delete forgets a key.
func (c *Cache[K, V]) Delete(k K) {
	if e := c.entries[k]; e != nil {
		c.remove(e)
	}
}

func (c *Cache[K, V]) remove(e *remembered[K, V]) {
	delete(c.entries, e.key)
	c.all.Remove(e.at[0])
	for i, p := range e.where {
		l := c.prefixes[p]
		if l.Remove(e.at[1+i]); l.Len() == 0 {
			delete(c.prefixes, p)
		}
	}
}

// All goes through what is remembered, the oldest first.
func (c *Cache[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for f := c.all.Front(); f != nil; f = f.Next() {
			e := f.Value.(*remembered[K, V]) //nolint:forcetypeassert // lists hold nothing else
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}
