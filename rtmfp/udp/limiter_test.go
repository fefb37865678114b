package udp

import (
	"net/netip"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	l := NewLimiter(5, 50)
	addr := netip.MustParseAddr("192.0.2.7")
	now := time.Unix(1_800_000_000, 0)
	allowed := 0
	for i := range 10_000 { // over ten seconds
		if l.Allow(now.Add(time.Duration(i)*time.Millisecond), addr.Next()) {
			allowed++
		}
	}
	if allowed < 99 || allowed > 101 {
		t.Errorf("%d of 10,000 in 10 s, want the burst of 50 and 5 a second", allowed)
	}
	if !NewLimiter(0, 0).Allow(now, addr) {
		t.Error("no limit refuses")
	}
}
