package limit

import (
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const (
	ect0       = 0b10
	packetSize = 1228
)

var payload = make([]byte, packetSize-28)

// open returns a controller and the forward flow of a lone pair in it.
func open(t *testing.T, cfg Config) (*Controller, *Flow) {
	t.Helper()
	c := New(cfg, nil)
	p, err := c.Open(start, Splice, Party{Peer: "a", Tenant: "t"}, Party{Peer: "b", Tenant: "t"})
	if err != nil {
		t.Fatal(err)
	}
	return c, p.Forward
}

func TestNoLimitPasses(t *testing.T) {
	_, f := open(t, Config{})
	for range 1000 {
		if f.Offer(start, packetSize) != Pass {
			t.Fatal("held without a limit")
		}
	}
	if got := f.Counts(); got.Packets != 1000 || got.Bytes != 1000*packetSize {
		t.Errorf("counted %+v", got)
	}
}

// A greedy sender of a flow, at twice its rate, for two seconds.
func TestRateIsHeld(t *testing.T) {
	for _, ecn := range []uint8{notECT, ect0} {
		c, f := open(t, Config{Splice: 2e6})
		var b Backlog
		gap := time.Second * packetSize * 8 / 4e6
		passed, marked := 0, 0
		worst := time.Duration(0)
		for now := start; now.Before(start.Add(2 * time.Second)); now = now.Add(gap) {
			if now.UnixMilli()%50 == 0 {
				c.Advance(now)
			}
			if f.Offer(now, packetSize) == Pass {
				passed++
			} else {
				f.Push(now, payload, packetSize, ecn)
				b.Add(now, f)
			}
			for {
				_, _, ecn, ok := b.Pop(now)
				if !ok {
					break
				}
				passed++
				if ecn == ce {
					marked++
				}
			}
			worst = max(worst, time.Duration(span(f.queue.bytes, f.cost.Load())))
		}
		bits := passed * packetSize * 8
		if bits < 3.9e6 || bits > 4.1e6 {
			t.Errorf("ECN %b: %d bits in two seconds, want 4,000,000", ecn, bits)
		}
		if worst > maxDelay {
			t.Errorf("ECN %b: %v of packets waited, want at most %v", ecn, worst, maxDelay)
		}
		counts := f.Counts()
		if counts.Marks != uint64(marked) || ecn == notECT && marked != 0 || ecn == ect0 && marked < passed/2 {
			t.Errorf("ECN %b: %d marked, %d counted, of %d", ecn, marked, counts.Marks, passed)
		}
		if ecn == notECT && counts.Drops[DropHead] == 0 {
			t.Errorf("no drop from the head: %+v", counts)
		}
	}
}
