package flow

import "time"

// timers are what Deadline is the earliest of.
type timers struct {
	erto, mrto time.Duration // ERTO and MRTO of section 3.5.2.2

	timeoutAt instant // TIMEOUT_ALARM
	ackAt     instant // DELACK_ALARM
	flowsAt   instant // not later than the earliest deadline of any flow
}

func (t *timers) reset() {
	*t = timers{erto: initialRTO, mrto: initialRTO}
}

func (t *timers) stop() { t.timeoutAt, t.ackAt, t.flowsAt = 0, 0, 0 }

// alarm has the flows looked at when at has come.
func (t *timers) alarm(at instant) { t.flowsAt = t.flowsAt.earlier(at) }

// Deadline returns when Advance is due next, or the zero time if nothing waits for
// the clock.
func (m *Mux) Deadline() time.Time {
	at := m.timers.timeoutAt.earlier(m.timers.ackAt).earlier(m.timers.flowsAt)
	if at == 0 {
		return time.Time{}
	}
	return m.shared.epoch.Add(time.Duration(at))
}

// Advance does what is due: delayed acknowledgements, retransmission timeout, buffer
// probes, messages whose time is over, flows whose linger is over. It may be called
// at any time.
func (m *Mux) Advance() {
	now := m.now()
	t := &m.timers
	if t.ackAt.passed(now) {
		t.ackAt = 0
		m.pending.now = true
	}
	if t.timeoutAt.passed(now) {
		t.timeoutAt = 0
		m.timeout()
	}
	if t.flowsAt.passed(now) {
		t.flowsAt = 0
		m.advanceFlows(now)
	}
}

// timeout does section 3.6.2.6.
func (m *Mux) timeout() {
	wasLoss := m.flight.head != nil
	for e := m.flight.head; e != nil; e = m.flight.head {
		m.lose(e)
	}
	if wasLoss {
		m.settleAll()
	}
	t := &m.timers
	if wasLoss {
		m.shared.Stats.Timeouts++
		t.erto = max(min(t.erto*14142/10000, maxRTO), t.mrto)
	}
	m.cc.timeout(wasLoss)
}

func (m *Mux) advanceFlows(now instant) {
	// Callbacks may open flows, which go to the end, and abort the Mux.
	for i := 0; i < len(m.send); i++ {
		if f := m.send[i]; !f.advance(now) {
			m.send = remove(m.send, i)
			i--
		}
	}
	for i := 0; i < len(m.recv); i++ {
		if f := m.recv[i]; !f.advance(now) {
			m.recv = remove(m.recv, i)
			i--
		}
	}
}

// remove takes out list[i] and lets go of a long list that has become empty.
func remove[F any](list []*F, i int) []*F {
	copy(list[i:], list[i+1:])
	list[len(list)-1] = nil
	list = list[:len(list)-1]
	if len(list) == 0 {
		return nil
	}
	return list
}

// SetRTT tells the round trip as measured by timestamp echoes: the smoothed round
// trip time, and the effective retransmission timeout that follows from this
// measurement, without backoff (section 3.5.2.2, step 8). It ends a backoff. The
// timeout used is never less than the round trip or 250 ms.
func (m *Mux) SetRTT(srtt, erto time.Duration) {
	erto = max(erto, srtt, minRTO)
	m.timers.erto, m.timers.mrto = erto, erto
}

// RTO returns the effective retransmission timeout, backoff included.
func (m *Mux) RTO() time.Duration { return m.timers.erto }
