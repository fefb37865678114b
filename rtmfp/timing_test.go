package rtmfp

import (
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

func TestTimingMeasuresAcrossTwoEnds(t *testing.T) {
	var a, b timing
	now := time.Unix(0, 0)
	at := func(d time.Duration) (time.Time, uint16) { return now.Add(d), uint16(d / tick) }
	var h wire.Header
	// a sends at 100 ms, b answers 40 ms after it arrived at 150 ms, a has it at 240 ms.
	tm, stamp := at(100 * time.Millisecond)
	a.commit(a.stamp(tm, stamp, &h))
	tm, stamp = at(150 * time.Millisecond)
	b.header(tm, stamp, h)
	h = wire.Header{}
	tm, stamp = at(190 * time.Millisecond)
	b.commit(b.stamp(tm, stamp, &h))
	if !h.HasEcho {
		t.Fatal("no echo")
	}
	tm, stamp = at(240 * time.Millisecond)
	if !a.header(tm, stamp, h) {
		t.Fatal("no measurement")
	}
	if a.srtt != 100*time.Millisecond || a.erto != 500*time.Millisecond {
		t.Errorf("SRTT %v, ERTO %v", a.srtt, a.erto)
	}
	if a.header(tm, stamp, h) {
		t.Error("the same echo measured twice")
	}
	// The echo only if it differs from the last one sent; the timestamp always:
	// librtmfp drops packets without one.
	var again wire.Header
	b.stamp(now.Add(190*time.Millisecond), uint16(190*time.Millisecond/tick), &again)
	if !again.HasTimestamp || again.HasEcho {
		t.Errorf("within a tick of the last: %+v", again)
	}
	// After 128 s of silence there is nothing to echo.
	var old wire.Header
	b.stamp(now.Add(300*time.Second), 1, &old)
	if old.HasEcho {
		t.Error("echo of a stamp 150 s old")
	}
	// An echo from the future is no measurement.
	if a.header(tm, stamp, wire.Header{HasEcho: true, Echo: stamp + 1}) {
		t.Error("measured an echo from the future")
	}
}
