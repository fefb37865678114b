package rtmfp

import (
	"time"

	"pileus/rtmfp/wire"
)

// timing measures the round trip by timestamps and their echoes (RFC 7016
// 3.5.2.2).
type timing struct {
	rxTime                      time.Time // TS_RX_TIME
	rx, echoTx                  uint16    // TS_RX, TS_ECHO_TX
	echoRx                      uint16    // TS_ECHO_RX
	hasRx, hasEchoTx, hasEchoRx bool

	srtt, rttvar, erto time.Duration
}

const (
	tick       = wire.TimestampTick * time.Nanosecond
	minERTO    = 250 * time.Millisecond
	firstERTO  = 3 * time.Second
	maxEchoAge = 128 * time.Second
	// longestStartup is the first round trip whose ERTO is firstERTO.
	longestStartup = (firstERTO - 200*time.Millisecond) / 3
)

func (t *timing) init() {
	if t.erto == 0 {
		t.erto = firstERTO
	}
}

// heard notes a timestamp of the far end.
func (t *timing) heard(now time.Time, stamp uint16) {
	if !t.hasRx || stamp != t.rx {
		t.rx, t.rxTime, t.hasRx = stamp, now, true
	}
}

// header takes a received packet's header; it reports whether that brought a
// measurement.
func (t *timing) header(now time.Time, current uint16, h wire.Header) bool {
	if h.HasTimestamp {
		t.heard(now, h.Timestamp)
	}
	if !h.HasEcho || (t.hasEchoRx && h.Echo == t.echoRx) {
		return false
	}
	t.echoRx, t.hasEchoRx = h.Echo, true
	ticks := current - h.Echo
	if ticks > 32767 {
		return false
	}
	t.measured(time.Duration(ticks) * tick)
	return true
}

// measured takes a round trip.
func (t *timing) measured(rtt time.Duration) {
	if t.srtt == 0 {
		t.srtt, t.rttvar = rtt, rtt/2
	} else {
		delta := (t.srtt - rtt).Abs()
		t.rttvar = (3*t.rttvar + delta) / 4
		t.srtt = (7*t.srtt + rtt) / 8
	}
	t.erto = max(t.srtt+4*t.rttvar+200*time.Millisecond, minERTO)
}

// measureStartup takes the time from a keying packet to its answer, as long as that is no worse
// than nothing: the answer may have waited for the far end's own timeout, of 3 s, since the
// one before it was lost. An ERTO that follows from such a wait lasts for many repeats.
func (s *Session) measureStartup(d time.Duration) {
	if d > longestStartup {
		return
	}
	s.timing.measured(d)
	s.mux.SetRTT(s.timing.srtt, s.timing.erto)
}

// sentEcho is the echo in a packet's header, to be noted when it is really sent.
type sentEcho struct {
	echo uint16
	has  bool
}

// stamp fills in the timestamps a packet sent now should carry: the echo only if
// it differs from the last one sent. RFC 7016 asks no more of the timestamp, but
// librtmfp drops a packet that has none, such as the second of two FIHellos at once.
func (t *timing) stamp(now time.Time, current uint16, h *wire.Header) sentEcho {
	var p sentEcho
	h.HasTimestamp, h.Timestamp = true, current
	if !t.hasRx {
		return p
	}
	elapsed := now.Sub(t.rxTime)
	if elapsed > maxEchoAge {
		t.hasRx, t.hasEchoTx = false, false
		return p
	}
	echo := t.rx + uint16(elapsed/tick)
	if !t.hasEchoTx || echo != t.echoTx {
		h.HasEcho, h.Echo = true, echo
		p = sentEcho{echo, true}
	}
	return p
}

func (t *timing) commit(p sentEcho) {
	if p.has {
		t.echoTx, t.hasEchoTx = p.echo, true
	}
}
