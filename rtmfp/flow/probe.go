package flow

import "pileus/rtmfp/wire"

// suspended reports whether the flow has something to send and the receiver no room
// for anything (section 3.6.2.9.1).
func (f *SendFlow) suspended() bool {
	return f.window == 0 && f.exception == nil && f.state < sendLingering &&
		(f.queue.resend > 0 || f.queue.unsent != nil)
}

// settleProbe starts or stops the probing of a closed window.
func (f *SendFlow) settleProbe() {
	switch suspended := f.suspended(); {
	case !suspended && f.probeEvery != 0:
		f.at, f.probeEvery = 0, 0
		f.setProbe(false)
	case suspended && f.probeEvery == 0:
		f.probeEvery = max(firstProbe, f.mux.timers.erto)
		f.at = f.mux.now().after(f.probeEvery)
		f.mux.timers.alarm(f.at)
	}
}

// advanceProbe has a probe sent when it is due. "The period between probes SHOULD
// increase over time, but [...] SHOULD NOT be more than one minute or ERTO, whichever
// is greater."
func (f *SendFlow) advanceProbe(now instant) {
	if f.probeEvery == 0 {
		return
	}
	if f.at.passed(now) {
		f.setProbe(true)
		f.probeEvery = min(f.probeEvery*14142/10000, max(lastProbe, f.mux.timers.erto))
		f.at = now.after(f.probeEvery)
	}
	f.mux.timers.alarm(f.at)
}

func (f *SendFlow) setProbe(due bool) {
	if f.probe == due {
		return
	}
	f.probe = due
	if due {
		f.mux.probes++
	} else {
		f.mux.probes--
	}
}

func (m *Mux) fillProbes(b []byte, limit int) []byte {
	if m.probes == 0 {
		return b
	}
	for _, f := range m.send {
		if f.probe && len(b)+wire.ChunkHeaderLen+wire.VLULen(f.id) <= limit {
			b = wire.BufferProbe{Flow: f.id}.Append(b)
			f.setProbe(false)
		}
	}
	return b
}
