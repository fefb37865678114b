package flow

import (
	"math"

	"pileus/rtmfp/wire"
)

// pendingAck is when the session acknowledges (section 3.6.3.4).
type pendingAck struct {
	now     bool  // ACK_NOW
	packets uint8 // RX_DATA_PACKETS
}

// dataPacket counts a packet with user data: every second is acknowledged at once.
func (p *pendingAck) dataPacket() {
	if p.packets++; p.packets >= 2 {
		p.now = true
		p.packets = 2
	}
}

// ackList is the flows whose SHOULD_ACK is set, in the order in which it was set.
type ackList struct {
	head, tail *RecvFlow
}

// owe sets SHOULD_ACK.
func (m *Mux) owe(f *RecvFlow) {
	if f.owes {
		return
	}
	f.owes = true
	if m.owing.tail == nil {
		m.owing.head = f
	} else {
		m.owing.tail.owingNext = f
	}
	m.owing.tail = f
}

// paid takes the first flow off the list. When none is left, nothing is due any more
// (section 3.6.3.4.5, step 2).
func (m *Mux) paid() {
	f := m.owing.head
	m.owing.head = f.owingNext
	f.owingNext, f.owes = nil, false
	if m.owing.head == nil {
		m.owing.tail = nil
		m.pending = pendingAck{}
		m.timers.ackAt = 0
	}
}

// fillAcks appends what fits of the acknowledgements owed. obligatory is that the
// packet is made for them: then the first is cut to what fits, any other must fit
// whole (section 3.6.3.4.2).
func (m *Mux) fillAcks(b []byte, limit int, obligatory bool, info *FillInfo) []byte {
	if m.owing.head == nil {
		m.pending = pendingAck{}
		return b
	}
	for m.owing.head != nil {
		start := len(b)
		if m.ecn.report {
			b = wire.ECNReport{Count: m.ecn.marked}.Append(b)
		}
		acked, ok := m.owing.head.appendAck(b, limit, obligatory && !info.Acks)
		if !ok {
			return b[:start]
		}
		b = acked
		m.ecn.report = false
		info.Acks = true
		m.paid()
	}
	return b
}

// appendAck appends the flow's acknowledgement (section 3.6.3.4.3), after an
// exception if it was rejected.
func (f *RecvFlow) appendAck(b []byte, limit int, cut bool) (out []byte, ok bool) {
	if f.state == recvRejected {
		b = wire.FlowException{Flow: f.id, Code: f.code}.Append(b)
	}
	blocks := f.window()
	most := math.MaxInt
	if cut {
		most = limit
	}
	start := len(b)
	if f.mux.bitmaps {
		b = wire.AppendAck(b, f.id, blocks, f.seen.cum, f.seen.runs, most)
	} else {
		b = wire.AppendAckRanges(b, f.id, blocks, f.seen.cum, f.seen.runs, most)
	}
	if len(b) == start || len(b) > limit {
		return b, false
	}
	f.advertised = int16(blocks)
	return b, true
}

// window returns the receive window in blocks of 1024 bytes (section 3.6.3.5).
func (f *RecvFlow) window() (blocks uint64) {
	free := max(0, int(f.capacity)-int(f.held.bytes))
	blocks = uint64(free+1023) / 1024
	if blocks == 0 && f.capacity > 0 && !f.hold {
		blocks = 1
	}
	return blocks
}
