package flow

import "pileus/rtmfp/wire"

// FillInfo says what Fill put into a packet.
type FillInfo struct {
	Data         bool // user data
	Acks         bool // acknowledgements
	TimeCritical bool // data above PriorityRoutine: set the packet's Time Critical flag
	ECT          bool // send the datagram as ECN-capable, ECT(0)
}

// Fill appends chunks for one packet to b so that the result is not longer than
// limit: acknowledgements that are due, then data of the highest priority first as
// far as congestion and flow control allow, then whatever else fits. If there is
// nothing to send now, or no room for any of it, out is b unchanged.
//
// A packet begun for flows must have at least Config.Room bytes between len(b) and
// limit, else long fragments never leave.
func (m *Mux) Fill(b []byte, limit int) (out []byte, info FillInfo) {
	if m.err != nil {
		return b, info
	}
	b = m.fillProbes(b, limit)
	if m.pending.now {
		b = m.fillAcks(b, limit, true, &info)
	}
	b = m.fillData(b, limit, &info)
	if info.Data || info.Acks {
		b = m.fillAcks(b, limit, false, &info)
	}
	if info.Data {
		m.cc.burst++
		m.timers.timeoutAt = m.now().after(m.timers.erto)
		info.ECT = !m.ecn.off
		if info.TimeCritical {
			m.tc.sent(m)
		}
	}
	return b, info
}

// fillData takes the flows that are ready in order of priority. Of those with equal
// priority the one served goes behind the others.
func (m *Mux) fillData(b []byte, limit int, info *FillInfo) []byte {
	if m.cc.burst >= maxBurst {
		return b
	}
	var served *SendFlow
	for at := &m.ready; *at != nil && m.cc.allows(); {
		f := *at
		if !f.ready() {
			*at = f.readyNext
			f.readyNext, f.listed = nil, false
			continue
		}
		before := len(b)
		b = f.fill(b, limit)
		if len(b) > before {
			info.Data = true
			info.TimeCritical = info.TimeCritical || f.priority > PriorityRoutine
			if served == nil {
				served = f
			}
		}
		at = &f.readyNext
	}
	if served != nil {
		m.unlist(served)
		m.activate(served)
	}
	return b
}

// ready reports whether the flow is ready to transmit (section 3.6.2.3).
func (f *SendFlow) ready() bool {
	return (f.queue.resend > 0 || f.queue.unsent != nil) &&
		(f.exception != nil || f.window > int64(f.outstanding))
}

// activate puts a flow that is ready behind those of its priority.
func (m *Mux) activate(f *SendFlow) {
	if f.listed || !f.ready() {
		return
	}
	at := &m.ready
	for *at != nil && (*at).priority >= f.priority {
		at = &(*at).readyNext
	}
	f.readyNext, f.listed = *at, true
	*at = f
}

func (m *Mux) unlist(f *SendFlow) {
	for at := &m.ready; *at != nil; at = &(*at).readyNext {
		if *at == f {
			*at = f.readyNext
			f.readyNext, f.listed = nil, false
			return
		}
	}
}

// fill assembles the flow's fragments into a packet (section 3.6.2.3).
func (f *SendFlow) fill(b []byte, limit int) []byte {
	m := f.mux
	now := m.now()
	var last, lastForward uint64 // of the chunk before, 0: none
	for f.ready() && m.cc.allows() {
		e := f.queue.nextEligible()
		if e.msg.expired(now) {
			f.abandonMessage(e.msg)
			f.settleForward()
			m.timers.alarm(now) // Advance tells the user that the queue has shrunk
			continue
		}
		forward := f.forward()
		final := e.seq == f.finalSeq
		var data []byte
		if !e.abandoned {
			data = e.msg.data[e.from:e.to]
		}

		start := len(b)
		if last != 0 && e.seq == last+1 && forward == lastForward {
			c := wire.NextUserData{Fragment: e.fra, Abandon: e.abandoned, Final: final}
			if start+c.HeaderLen()+len(data) > limit {
				break
			}
			b = c.AppendHeader(b, len(data))
		} else {
			c := wire.UserData{
				Fragment: e.fra, Abandon: e.abandoned, Final: final,
				Flow: f.id, Seq: e.seq, FSNOffset: e.seq - forward,
			}
			// "add the encoded STARTUP_OPTIONS" to the first chunk of the flow in each
			// packet (section 3.6.2.3.1).
			if !f.acked && last == 0 {
				c.HasOptions, c.Options = true, f.options
			}
			if start+c.HeaderLen()+len(data) > limit {
				break
			}
			b = c.AppendHeader(b, len(data))
		}
		b = append(b, data...)
		last, lastForward = e.seq, forward
		f.launch(e, forward, len(b)-start)
	}
	return b
}

// launch books a fragment that was put into a packet.
func (f *SendFlow) launch(e *fragment, forward uint64, size int) {
	stats := &f.mux.shared.Stats
	stats.FragmentsSent++
	if e.everSent && !e.msg.update {
		stats.FragmentsResent++
	}
	f.mux.flight.launch(e)
	e.sentAbandoned = e.abandoned
	e.size = uint16(size)
	f.outstanding += int32(size)
	f.mux.cc.outstanding += int32(size)
	f.topSent = max(f.topSent, e.seq)
	f.told = max(f.told, forward)
}
