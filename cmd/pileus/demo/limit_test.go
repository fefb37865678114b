package demo

import (
	"strings"
	"testing"
	"time"

	"pileus/natprobe/lab/memory"
	"pileus/relay/limit"
)

// A greedy stream through the relay uses its limit well, without a pause, and does
// not fill the relay's queue: on ways of 40 and 80 ms there and back.
func TestGreedyStreamUnderLimit(t *testing.T) {
	for name, c := range map[string]struct {
		rate  limit.Rate
		delay time.Duration // between a site and the node
		use   float64       // of the limit, by what the player gets of the stream
		late  float64       // ms, 99 % of packets wait less
	}{
		"2 Mbit/s, near": {2e6, 10 * time.Millisecond, 0.90, 60},
		"2 Mbit/s, far":  {2e6, 20 * time.Millisecond, 0.90, 60},
		// 8 KiB may always wait, and take 131 ms.
		"500 kbit/s, near": {500e3, 10 * time.Millisecond, 0.85, 131},
		"500 kbit/s, far":  {500e3, 20 * time.Millisecond, 0.85, 131},
	} {
		t.Run(name, func(t *testing.T) {
			net := memory.New(time.Unix(0, 0).AddDate(30, 0, 0))
			net.SetPath(memory.Path{Delay: c.delay})
			s, err := newStage(net, c.rate)
			if err != nil {
				t.Fatal(err)
			}
			clock := &pacer{ctx: t.Context(), net: net, delay: c.delay, began: time.Now(), start: net.Now()}
			if err := s.classify(clock, &recorder{}); err != nil {
				t.Fatal(err)
			}
			from, to, err := s.relayedPair()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := newShoot(from); err != nil {
				t.Fatal(err)
			}
			see := new(viewer)
			if _, err := to.client.Play(from.id(), film, see); err != nil {
				t.Fatal(err)
			}
			const seconds = 15 // the first of which has the introduction, too
			for i := range seconds {
				seen := see.bytes
				if net.Wait(time.Second); see.bytes == seen {
					t.Errorf("nothing came in second %d", i)
				}
			}
			counts := s.relay.sent(from, to)
			use := float64(8*see.bytes) / seconds / float64(c.rate)
			late := quantile(s.relay.delays, 0.99)
			if use < c.use || late > c.late || counts.Dropped() != 0 || counts.Marks == 0 {
				t.Errorf("%.3f of the limit used, %.1f ms in the queue; %d packets marked, %d lost", use, late, counts.Marks, counts.Dropped())
			}
		})
	}
}

// A relay that lets everything through is told of, in the result and to the audience.
func TestLimitThatDoesNotHold(t *testing.T) {
	net := memory.New(time.Unix(0, 0).AddDate(30, 0, 0))
	net.SetPath(memory.Path{Delay: DefaultDelay})
	s, err := newStage(net, 0)
	if err != nil {
		t.Fatal(err)
	}
	clock := &pacer{ctx: t.Context(), net: net, delay: DefaultDelay, began: time.Now(), start: net.Now()}
	if err := s.classify(clock, &recorder{}); err != nil {
		t.Fatal(err)
	}
	var r recorder
	var text strings.Builder
	told := NewText(&text, 0)
	err = s.limited(clock, &both{&r, told})
	told.End(err)
	if err == nil || len(r.limited) != 1 || r.limited[0].OK || !strings.Contains(text.String(), "WRONG") {
		t.Errorf("%v, %+v:\n%s", err, r.limited, &text)
	}
}
