package flow

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// script is a sending flow of a property test and what must come of it.
type script struct {
	flow       *SendFlow
	out        outbox
	asReceived bool
	sent       []string
	reliable   map[string]bool
	from, to   *end
}

// TestAnythingArrives has random flows both ways over a random network: every
// reliable message arrives once, none arrives twice or out of order, all flows end
// at both ends, and nothing is left.
func TestAnythingArrives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		net := network{
			loss:      rapid.SampledFrom([]float64{0, 0.02, 0.2}).Draw(rt, "loss"),
			duplicate: rapid.SampledFrom([]float64{0, 0.2}).Draw(rt, "duplicate"),
			delay:     time.Duration(rapid.IntRange(1, 150).Draw(rt, "delay")) * time.Millisecond,
			jitter:    time.Duration(rapid.IntRange(0, 60).Draw(rt, "jitter")) * time.Millisecond,
			mark:      rapid.SampledFrom([]float64{0, 0.05}).Draw(rt, "mark"),
		}
		if rapid.Bool().Draw(rt, "narrow") {
			net.rate, net.queue = 50_000, 200*time.Millisecond
		}
		w := newWorld(t, net, Config{BitmapAcks: rapid.Bool().Draw(rt, "bitmaps")})
		var scripts []*script
		for _, e := range []*end{w.a, w.b} {
			for range rapid.IntRange(0, 3).Draw(rt, "flows") {
				s := &script{from: e, to: e.far, reliable: map[string]bool{}, asReceived: rapid.Bool().Draw(rt, "asReceived")}
				metadata := "ordered"
				if s.asReceived {
					metadata = "as received"
				}
				s.flow = e.open(metadata, SendOptions{Events: &s.out, Priority: Priority(rapid.IntRange(-3, 4).Draw(rt, "priority"))})
				scripts = append(scripts, s)
			}
		}
		for _, e := range []*end{w.a, w.b} {
			e.incoming = func(f *RecvFlow) (Accept, error) {
				return Accept{
					Receiver: e.box(f), AsReceived: string(f.Metadata()) == "as received",
					Capacity: 1000 + 3000*int(f.ID()),
				}, nil
			}
		}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			for _, s := range scripts {
				s.step(rt)
			}
			w.run(time.Duration(rapid.IntRange(0, 200).Draw(rt, "pause")) * time.Millisecond)
		}
		for _, s := range scripts {
			s.flow.Close()
		}
		w.until(30*time.Minute, func() bool { return w.a.mux.Idle() && w.b.mux.Idle() && len(w.wire) == 0 })
		for _, s := range scripts {
			s.check(rt)
		}
		w.rest()
		if t.Failed() {
			rt.Fatal("see above")
		}
	})
}

func (s *script) step(t *rapid.T) {
	for range rapid.IntRange(0, 4).Draw(t, "messages") {
		size := rapid.SampledFrom([]int{0, 30, 900, 1100, 2500, 9000}).Draw(t, "size")
		msg := fmt.Sprintf("%06d", len(s.sent)) + string(content(len(s.sent), size))
		var o WriteOptions
		switch rapid.IntRange(0, 5).Draw(t, "reliability") {
		case 0:
			o.StartBy = time.Duration(rapid.IntRange(1, 500).Draw(t, "startBy")) * time.Millisecond
		case 1:
			o.FinishBy = time.Duration(rapid.IntRange(1, 900).Draw(t, "finishBy")) * time.Millisecond
		case 2:
			o.Receipt = new(Receipt)
		default:
			s.reliable[msg] = true
		}
		if s.flow.Write([]byte(msg), o) != nil {
			t.Fatal("write failed")
		}
		s.sent = append(s.sent, msg)
		if o.Receipt != nil && rapid.Bool().Draw(t, "abandon") {
			o.Receipt.Abandon()
		}
	}
}

func (s *script) check(t *rapid.T) {
	in := s.to.got[s.flow.ID()]
	if in == nil {
		t.Fatalf("flow %d of %s did not arrive", s.flow.ID(), s.from.name)
	}
	at := map[string]int{}
	for i, msg := range s.sent {
		at[msg] = i
	}
	last := -1
	for _, m := range in.messages {
		i, ok := at[string(m)]
		if !ok {
			t.Fatalf("got a message twice, or never sent: %s", brief(m))
		}
		delete(at, string(m))
		delete(s.reliable, string(m))
		if !s.asReceived && i < last {
			t.Fatalf("message %d after %d", i, last)
		}
		last = i
	}
	if len(s.reliable) != 0 {
		t.Fatalf("%d reliable messages of %d are missing", len(s.reliable), len(s.sent))
	}
	if in.ended != 1 || in.err != nil || s.out.closed != 1 || s.out.err != nil {
		t.Fatalf("receiver ended %d times with %v, sender closed %d times with %v", in.ended, in.err, s.out.closed, s.out.err)
	}
	if s.flow.Buffered() != 0 {
		t.Fatalf("%d bytes buffered", s.flow.Buffered())
	}
}
