package flow

import "pileus/rtmfp/wire"

// Values of the IP header's ECN field (RFC 3168 section 5).
const ecnCE = 3

// ecnState is both sides of the ECN of the reference implementation, which is in no
// RFC. As receiver: count marked packets, and report the count just before
// acknowledgements if an ECN-capable packet has come since the last report. As
// sender: mark data ECN-capable until an acknowledgement of data comes without a
// report, and take a count that grew as a loss, but only once for
// the packets of one window, as RFC 3168 section 6.1.2 has it for TCP.
type ecnState struct {
	marked uint8 // received with CE, modulo 256
	report bool  // an ECN-capable packet came since the last report

	farMarked uint8 // the far end's last report
	farKnown  bool  // it has sent one
	off       bool  // it answers data without
	// reacted is the number of the first transmission after the window was last
	// reduced for marks. What was sent before it says nothing of the smaller window.
	reacted uint64
}

func (e *ecnState) received(m *Mux, field uint8) {
	field &= 3
	if field == 0 {
		return
	}
	e.report = true
	if field == ecnCE {
		e.marked++
		if m.owing.head != nil {
			m.pending.now = true // a sender slows down only after it is told
		}
	}
}

func (m *Mux) receiveECNReport(body []byte) {
	r, err := wire.ParseECNReport(body)
	if err != nil {
		m.drop(DropMalformed)
		return
	}
	if r.Count != m.ecn.farMarked {
		m.shared.packet.anyMarks = true
		m.shared.Stats.CongestionMarks++
	}
	m.ecn.farMarked, m.ecn.farKnown = r.Count, true
}

// marksSeen reports whether the window is to be reduced for marks that were reported.
func (e *ecnState) marksSeen(l *flightList) bool {
	if l.maxAcked < e.reacted {
		return false
	}
	e.reacted = l.nextTSN + 1
	return true
}

// dataAcknowledged is called after a packet that acknowledged data in flight.
func (e *ecnState) dataAcknowledged() {
	if !e.farKnown {
		e.off = true
	}
}
