package flow

import "pileus/rtmfp/wire"

// This file is the sender's side of acknowledgements: sections 3.6.2.4, 3.6.2.5 and
// 3.6.2.10.

func (m *Mux) receiveAckRanges(body []byte) {
	c, err := wire.ParseAckRanges(body)
	if err != nil {
		m.drop(DropMalformed)
		return
	}
	f := m.beginAck(c.Flow, c.BufferBlocks)
	if f == nil {
		return
	}
	e := f.acknowledge(f.queue.head, 0, c.CumAck)
	for r := range c.All() {
		if e == nil || !e.everSent {
			break
		}
		e = f.acknowledge(e, r.From, r.To)
	}
	f.endAck(c.CumAck)
}

func (m *Mux) receiveAckBitmap(body []byte) {
	c, err := wire.ParseAckBitmap(body)
	if err != nil {
		m.drop(DropMalformed)
		return
	}
	m.bitmaps = true
	f := m.beginAck(c.Flow, c.BufferBlocks)
	if f == nil {
		return
	}
	e := f.acknowledge(f.queue.head, 0, c.CumAck)
	for r := range c.All() {
		if e == nil || !e.everSent {
			break
		}
		e = f.acknowledge(e, r.From, r.To)
	}
	f.endAck(c.CumAck)
}

// beginAck returns the flow that an acknowledgement is for, or nil.
func (m *Mux) beginAck(id, blocks uint64) *SendFlow {
	f := m.findSend(id)
	if f == nil {
		m.drop(DropUnknownFlow)
		return nil
	}
	m.shared.packet.anyAcks = true
	m.cc.burst = 0
	f.acked = true
	f.window = int64(min(blocks, 1<<40)) * 1024
	return f
}

// acknowledge removes the fragments from through to from the queue, starting at e,
// which is not above from. It returns the first fragment above to.
//
// A fragment that was sent and is not in flight is removed too: it was declared lost
// and has arrived nevertheless. A Forward Sequence Number Update reuses a sequence
// number that may be acknowledged already, so only a cumulative acknowledgement,
// which begins at 0, shows that it has arrived.
func (f *SendFlow) acknowledge(e *fragment, from, to uint64) (next *fragment) {
	for e != nil && e.seq <= to && e.everSent {
		next := e.next
		if e.seq >= from && (from == 0 || !e.msg.update) {
			f.remove(e)
		}
		e = next
	}
	return e
}

func (f *SendFlow) remove(e *fragment) {
	m := f.mux
	if e.inFlight {
		m.shared.packet.acked += int32(e.size)
		m.flight.maxAcked = max(m.flight.maxAcked, e.tsn)
		f.land(e)
	}
	f.queue.remove(e)
	if g := e.msg; g.left == 0 && !g.abandoned {
		f.queue.empty(g) // a Receipt may keep g
		if g.startBy != 0 || g.finishBy != 0 {
			f.timed--
		}
	}
}

// land takes e out of flight.
func (f *SendFlow) land(e *fragment) {
	f.mux.flight.land(e)
	f.outstanding -= int32(e.size)
	f.mux.cc.outstanding -= int32(e.size)
}

func (f *SendFlow) endAck(cumAck uint64) {
	f.cumAcked = max(f.cumAcked, min(cumAck, f.topSent))
	f.update()
}

// acksProcessed judges once per packet what its acknowledgements say of all that is
// in flight, and adjusts the window.
func (m *Mux) acksProcessed(p *packetState) {
	if !p.anyAcks && !p.anyMarks {
		return
	}
	now := m.now()
	if p.anyAcks {
		m.negativeAcks(p)
		if p.acked > 0 {
			m.ecn.dataAcknowledged()
		}
		if m.timers.timeoutAt != 0 {
			m.timers.timeoutAt = now.after(m.timers.erto)
		}
	}
	p.anyLoss = p.anyLoss || p.anyMarks && m.ecn.marksSeen(&m.flight)
	m.cc.adjust(p, m.tc.fastGrow(m), m.tc.recentlySent(now))
}

// negativeAcks does section 3.6.2.5: what was sent before the latest transmission
// that was acknowledged, and is still in flight, has one more thing against it.
func (m *Mux) negativeAcks(p *packetState) {
	l := &m.flight
	lost := false
	for e := l.head; e != nil && e.tsn < l.maxAcked; {
		newer := e.newer
		p.anyNaks = true
		if e.naks++; e.naks >= lossThreshold {
			lost = true
			m.lose(e)
		}
		e = newer
	}
	if lost {
		p.anyLoss = true
		m.settleAll()
	}
}

// lose takes a lost fragment out of flight. Once all that are lost have been,
// settleAll follows.
func (m *Mux) lose(e *fragment) {
	f := e.msg.flow
	m.shared.Stats.FragmentsLost++
	f.land(e)
	f.told = 0
	if e.abandoned && e.seq != f.finalSeq {
		f.giveUp(e)
	}
}

func (m *Mux) settleAll() {
	for _, f := range m.send {
		if f.state < sendLingering {
			f.settle()
		}
	}
}

// receiveException does section 3.6.2.10.
func (m *Mux) receiveException(body []byte) {
	c, err := wire.ParseFlowException(body)
	if err != nil {
		m.drop(DropMalformed)
		return
	}
	f := m.findSend(c.Flow)
	if f == nil {
		m.drop(DropUnknownFlow)
		return
	}
	if f.exception != nil || f.state >= sendLingering {
		return // repeated until the receiver has the final fragment
	}
	m.shared.Stats.Exceptions++
	f.exception = &Exception{Code: c.Code}
	f.abandonAll()
	if f.state == sendOpen {
		f.close()
	}
	if f.events != nil {
		f.events.Exception(f, c.Code)
	}
	f.update()
}
