package flow

import (
	"math"
	"slices"

	"pileus/rtmfp/wire"
)

// held is an entry of the RECV_BUFFER (section 3.6.3): one fragment, or a run of
// fragments of one message that arrived one after the other.
type held struct {
	first, last uint64        // sequence numbers
	data        []byte        // of all of them
	fra         wire.Fragment // of the first
	ended       bool          // the last is an end
}

// cost is what the entry counts in BUFFERED_SIZE.
func (e *held) cost() int32 {
	return int32(len(e.data)) + int32(e.last-e.first+1)*fragmentOverhead
}

// memory is what the entry counts in holdings.memory.
func (e *held) memory() int32 { return int32(cap(e.data)) + fragmentOverhead }

// holdings is the RECV_BUFFER: ascending sequence numbers.
type holdings struct {
	list   []held
	bytes  int32 // BUFFERED_SIZE
	memory int32 // what the entries take
}

// insert keeps a copy of c's data and returns the index of the entry it is in.
func (h *holdings) insert(c chunk) int {
	i := len(h.list)
	if i > 0 && h.list[i-1].first > c.seq {
		i, _ = slices.BinarySearchFunc(h.list, c.seq, func(e held, seq uint64) int { return compare(e.first, seq) })
	}
	h.bytes += int32(len(c.data) + fragmentOverhead)
	ended := c.fra == wire.FragmentEnd
	if i > 0 && h.continues(i-1, c.seq, c.fra) {
		e := &h.list[i-1]
		h.memory -= e.memory()
		e.data = append(e.data, c.data...)
		e.last, e.ended = c.seq, ended
		h.memory += e.memory()
		return i - 1
	}
	e := held{first: c.seq, last: c.seq, fra: c.fra, ended: ended}
	if n := len(c.data); c.fra == wire.FragmentWhole || ended {
		e.data = slices.Clone(c.data)
	} else {
		e.data = append(make([]byte, 0, 2*n), c.data...) // more is to follow
	}
	h.list = slices.Insert(h.list, i, e)
	h.memory += e.memory()
	return i
}

// continues reports whether a fragment seq, fra belongs to the message of list[i] and
// stands right behind what is there of it.
func (h *holdings) continues(i int, seq uint64, fra wire.Fragment) bool {
	e := &h.list[i]
	return e.last+1 == seq && e.fra != wire.FragmentWhole && !e.ended &&
		(fra == wire.FragmentMiddle || fra == wire.FragmentEnd)
}

// remove takes out list[i:j].
func (h *holdings) remove(i, j int) {
	for k := range h.list[i:j] {
		h.bytes -= h.list[i+k].cost()
		h.memory -= h.list[i+k].memory()
	}
	switch {
	case j-i == len(h.list):
		h.list = nil
	case i == 0:
		clear(h.list[:j])
		h.list = h.list[j:]
	default:
		h.list = slices.Delete(h.list, i, j)
	}
}

// release takes out list[i:j] of what is held. A long list of which little is left would
// keep its memory, and not be counted, so it is made anew then.
func (f *RecvFlow) release(i, j int) {
	h := &f.held
	h.remove(i, j)
	f.unused = uint16(min(int(f.unused)+j-i, math.MaxUint16))
	if n := len(h.list); n == 0 || int(f.unused) > 32+3*n {
		h.list, f.unused = slices.Clone(h.list), 0
	}
}

// segment returns the end of the message segment that begins at list[i], the bytes of
// data in it, and whether it is complete given that list[i] begins a message.
func (h *holdings) segment(i int) (end, size int, complete bool) {
	for end = i + 1; ; end++ {
		size += len(h.list[end-1].data)
		if end == len(h.list) || !h.continues(end-1, h.list[end].first, h.list[end].fra) {
			return end, size, h.list[end-1].ended
		}
	}
}

// tooLong reports whether the segment list[i:end] is of a message above the limits.
func (f *RecvFlow) tooLong(i, end, size int) bool {
	limit := int(f.mux.maxMessage)
	list := f.held.list
	return size > limit || list[end-1].last-list[i].first >= uint64(maxFragments(limit))
}

// take delivers c's data at once if it can, which saves a copy, else keeps it.
func (f *RecvFlow) take(c chunk) {
	h := &f.held
	if c.fra == wire.FragmentWhole && len(c.data) > int(f.mux.maxMessage) {
		f.fail(ErrFarMessage)
		return
	}
	if c.fra == wire.FragmentWhole && !f.hold && !f.delivering &&
		(f.asReceived || c.seq <= f.seen.cum && (len(h.list) == 0 || h.list[0].first > c.seq)) {
		f.hand(c.seq, c.seq, c.data)
		return
	}
	i := h.insert(c)
	if f.asReceived && !f.hold && !f.delivering {
		f.deliverAround(i)
	}
}

// hand gives a message to the receiver.
func (f *RecvFlow) hand(first, last uint64, msg []byte) {
	gap := !f.asReceived && first != f.delivered+1
	f.delivered = max(f.delivered, last)
	f.current = first
	f.delivering = true
	if gap {
		if r, ok := f.receiver.(GapReceiver); ok {
			r.Gap(f)
		}
	}
	if f.receiver != nil {
		f.mux.shared.Stats.MessagesDelivered++
		f.receiver.Message(f, msg)
	}
	f.delivering = false
}

// handSegment removes the complete message list[i:j] and gives it to the receiver.
func (f *RecvFlow) handSegment(i, j, size int) {
	list := f.held.list[i:j]
	first, last := list[0].first, list[len(list)-1].last
	msg := list[0].data
	if len(list) > 1 {
		msg = make([]byte, 0, size)
		for _, e := range list {
			msg = append(msg, e.data...)
		}
	}
	f.release(i, j)
	f.hand(first, last, msg)
}

// deliver discards abandoned segments and delivers complete messages up to the
// cumulative sequence number (section 3.6.3.3), and ends the flow when it is through.
func (f *RecvFlow) deliver() {
	if f.delivering || f.hold || f.receiver == nil {
		return
	}
	h := &f.held
	for len(h.list) > 0 && h.list[0].first <= f.seen.cum {
		if f.hold || f.receiver == nil {
			return
		}
		switch e := h.list[0]; e.fra {
		case wire.FragmentWhole:
			f.handSegment(0, 1, len(e.data))
		case wire.FragmentBegin:
			if !f.deliverFirst() {
				return
			}
		default:
			f.release(0, 1) // the rest of an abandoned message
		}
	}
	if f.receiver != nil && !f.hold && f.state == recvLingering {
		f.held = holdings{}
		f.ended(nil)
	}
}

// deliverFirst does step 3 of section 3.6.3.3. It reports false when there is nothing
// more to deliver in order.
func (f *RecvFlow) deliverFirst() bool {
	h := &f.held
	end, size, complete := h.segment(0)
	switch {
	case f.tooLong(0, end, size):
		f.fail(ErrFarMessage)
		return false
	case complete:
		f.handSegment(0, end, size)
		return true
	case h.list[end-1].last < f.seen.cum, f.state == recvLingering:
		f.release(0, end)
		return true
	}
	return false
}

// deliverHeld delivers all complete messages of a flow that delivers as received,
// after a hold.
func (f *RecvFlow) deliverHeld() {
	if !f.asReceived || f.delivering {
		return
	}
	for i := 0; i < len(f.held.list) && !f.hold && f.receiver != nil; {
		if !f.deliverAt(i) {
			i++
		}
	}
}

// deliverAround delivers the message that list[i] is part of, if it is complete.
func (f *RecvFlow) deliverAround(i int) {
	h := &f.held
	for n := maxFragments(int(f.mux.maxMessage)); i > 0 && n > 0; n-- {
		if !h.continues(i-1, h.list[i].first, h.list[i].fra) {
			break
		}
		i--
	}
	f.deliverAt(i)
}

// deliverAt delivers the message that begins at list[i], if it is complete.
func (f *RecvFlow) deliverAt(i int) bool {
	list := f.held.list
	switch list[i].fra {
	case wire.FragmentWhole:
		f.handSegment(i, i+1, len(list[i].data))
		return true
	case wire.FragmentBegin:
		end, size, complete := f.held.segment(i)
		if f.tooLong(i, end, size) {
			f.fail(ErrFarMessage)
			return true
		}
		if complete {
			f.handSegment(i, end, size)
			return true
		}
	default: // its begin is missing
	}
	return false
}
