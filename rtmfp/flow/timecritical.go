package flow

// timeCritical is when this session last did and heard what.
type timeCritical struct {
	sentAt    instant // Time Critical Forward Notification sent here
	reverseAt instant // Time Critical Reverse Notification received here
}

func (t *timeCritical) received(m *Mux, p PacketInfo) {
	if p.TimeCriticalReverse {
		t.reverseAt = m.now()
	}
	if !p.TimeCritical {
		return
	}
	s := m.shared
	if s.from[0].mux != m {
		s.from[1] = s.from[0]
		s.from[0].mux = m
	}
	s.from[0].at = m.host.Now()
}

func (t *timeCritical) sent(m *Mux) {
	t.sentAt = m.now()
	m.shared.sent = m.host.Now()
}

// recentlySent is TC_SENT of appendix A.
func (t *timeCritical) recentlySent(now instant) bool {
	return t.sentAt.within(timeCriticalMemory, now)
}

// fastGrow is FASTGROW_ALLOWED of appendix A.
func (t *timeCritical) fastGrow(m *Mux) bool {
	sent := m.shared.sent
	return !t.reverseAt.within(timeCriticalMemory, m.now()) &&
		(sent.IsZero() || m.host.Now().Sub(sent) > timeCriticalMemory)
}

// TimeCriticalReverse reports whether packets of this session are to carry the Time
// Critical Reverse flag: another session of the engine received time critical data
// within the last 800 ms (section 3.5.2.1).
func (m *Mux) TimeCriticalReverse() bool {
	for _, f := range m.shared.from {
		if f.mux != nil && f.mux != m && m.host.Now().Sub(f.at) <= timeCriticalMemory {
			return true
		}
	}
	return false
}
