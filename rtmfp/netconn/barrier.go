package netconn

import "slices"

// holder is a receiving flow: delivery stops while it is held. An interface, so
// that barriers are tested without a session.
type holder interface {
	comparable
	SetHold(bool)
}

// barriers is the receiving end of Flow Synchronization (RFC 7425 5.2) for the
// flows of one association tree.
type barriers[F holder] struct {
	open []barrier[F]
	held int // flows waiting in all of them
}

type barrier[F holder] struct {
	id, count uint32
	flows     []F
}

// sync takes a Flow Synchronization message that arrived on f: f is held "until
// count Flow Synchronization messages (including this one) with the same syncID
// have been received". It reports whether the message made sense.
func (b *barriers[F]) sync(f F, id, count uint32) bool {
	// "This field MUST be at least 1"
	if count == 0 {
		return false
	}
	if count == 1 {
		return true
	}
	i := slices.IndexFunc(b.open, func(o barrier[F]) bool { return o.id == id })
	if i < 0 {
		if len(b.open) >= maxBarriers {
			return false
		}
		i = len(b.open)
		b.open = append(b.open, barrier[F]{id: id, count: count})
	}
	o := &b.open[i]
	if slices.Contains(o.flows, f) {
		return false
	}
	o.flows = append(o.flows, f)
	b.held++
	if uint64(len(o.flows)) >= uint64(o.count) {
		b.release(i)
		return true
	}
	f.SetHold(true)
	return true
}

// ended takes note that f is over, with live flows of the tree left. If all of
// them wait, what they wait for can only have been on flows that are over:
// rather than never, they go on.
func (b *barriers[F]) ended(f F, live int) {
	for i := len(b.open) - 1; i >= 0; i-- {
		o := &b.open[i]
		if at := slices.Index(o.flows, f); at >= 0 {
			o.flows = slices.Delete(o.flows, at, at+1)
			b.held--
		}
		if len(o.flows) == 0 {
			b.open = slices.Delete(b.open, i, i+1)
		}
	}
	if b.held < live {
		return
	}
	open := b.open
	b.open, b.held = nil, 0
	for _, o := range open {
		for _, f := range o.flows {
			f.SetHold(false)
		}
	}
}

// release ends a barrier. The flows may deliver at once, and so come back here.
func (b *barriers[F]) release(i int) {
	flows := b.open[i].flows
	b.open = slices.Delete(b.open, i, i+1)
	b.held -= len(flows)
	for _, f := range flows {
		f.SetHold(false)
	}
}
