package flow

import (
	"slices"

	"pileus/rtmfp/wire"
)

// held is an entry of the RECV_BUFFER (section 3.6.3).
type held struct {
	seq  uint64
	data []byte
	fra  wire.Fragment
}

// holdings is the RECV_BUFFER: ascending sequence numbers.
type holdings struct {
	list  []held
	bytes int32 // BUFFERED_SIZE
}

// insert keeps a copy of data and returns its index.
func (h *holdings) insert(c chunk) int {
	i := len(h.list)
	if i > 0 && h.list[i-1].seq > c.seq {
		i, _ = slices.BinarySearchFunc(h.list, c.seq, func(e held, seq uint64) int { return compare(e.seq, seq) })
	}
	h.list = slices.Insert(h.list, i, held{seq: c.seq, data: slices.Clone(c.data), fra: c.fra})
	h.bytes += int32(len(c.data) + fragmentOverhead)
	return i
}

// remove takes out list[i:j].
func (h *holdings) remove(i, j int) {
	for _, e := range h.list[i:j] {
		h.bytes -= int32(len(e.data) + fragmentOverhead)
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

// segment returns the end of the message segment that begins at list[i], its bytes
// of data, and whether it is complete.
func (h *holdings) segment(i int) (end, size int, complete bool) {
	for end = i; ; {
		e := h.list[end]
		size += len(e.data)
		end++
		if e.fra == wire.FragmentEnd {
			return end, size, true
		}
		if end == len(h.list) || h.list[end].seq != e.seq+1 ||
			h.list[end].fra == wire.FragmentWhole || h.list[end].fra == wire.FragmentBegin {
			return end, size, false
		}
	}
}

// take delivers c's data at once if it can, which saves a copy, else keeps it.
func (f *RecvFlow) take(c chunk) {
	h := &f.held
	if c.fra == wire.FragmentWhole && len(c.data) > int(f.mux.maxMessage) {
		f.fail(ErrFarMessage)
		return
	}
	if c.fra == wire.FragmentWhole && !f.hold && !f.delivering &&
		(f.asReceived || c.seq <= f.seen.cum && (len(h.list) == 0 || h.list[0].seq > c.seq)) {
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
	first, last := list[0].seq, list[len(list)-1].seq
	msg := list[0].data
	if len(list) > 1 {
		msg = make([]byte, 0, size)
		for _, e := range list {
			msg = append(msg, e.data...)
		}
	}
	f.held.remove(i, j)
	f.hand(first, last, msg)
}

// deliver discards abandoned segments and delivers complete messages up to the
// cumulative sequence number (section 3.6.3.3), and ends the flow when it is through.
func (f *RecvFlow) deliver() {
	if f.delivering || f.hold || f.receiver == nil {
		return
	}
	h := &f.held
	for len(h.list) > 0 && h.list[0].seq <= f.seen.cum {
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
			h.remove(0, 1) // the rest of an abandoned message
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
	case size > int(f.mux.maxMessage), end > maxFragments(int(f.mux.maxMessage)):
		f.fail(ErrFarMessage)
		return false
	case complete && h.list[end-1].seq <= f.seen.cum:
		f.handSegment(0, end, size)
		return true
	case h.list[end-1].seq < f.seen.cum, f.state == recvLingering:
		h.remove(0, end)
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
	list := f.held.list
	most := maxFragments(int(f.mux.maxMessage))
	for n := 0; i > 0 && n < most; n++ {
		if list[i].fra == wire.FragmentBegin || list[i].fra == wire.FragmentWhole || list[i-1].seq+1 != list[i].seq {
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
		if size > int(f.mux.maxMessage) || end-i > maxFragments(int(f.mux.maxMessage)) {
			f.fail(ErrFarMessage)
			return true
		}
		if complete {
			f.handSegment(i, end, size)
			return true
		}
	}
	return false
}
