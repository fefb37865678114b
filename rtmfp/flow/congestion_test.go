package flow

import (
	"math"
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

func TestWindowAdjustment(t *testing.T) {
	const inf = math.MaxInt32
	for name, test := range map[string]struct {
		before           congestion
		packet           packetState
		fastGrow, tcSent bool
		cwnd, ssthresh   int32
	}{
		"slow start":                {congestion{cwnd: 10000, ssthresh: inf}, packetState{anyAcks: true, preAck: 10000, acked: 1200}, true, false, 11200, inf},
		"slow start capped":         {congestion{cwnd: 10000, ssthresh: inf}, packetState{anyAcks: true, preAck: 10000, acked: 5000}, true, false, 11460, inf},
		"not full":                  {congestion{cwnd: 10000, ssthresh: inf}, packetState{anyAcks: true, preAck: 9999, acked: 1200}, true, false, 10000, inf},
		"negative acks":             {congestion{cwnd: 10000, ssthresh: inf}, packetState{anyAcks: true, anyNaks: true, preAck: 10000, acked: 1200}, true, false, 10000, inf},
		"avoidance":                 {congestion{cwnd: 32000, ssthresh: 20000}, packetState{anyAcks: true, preAck: 32000, acked: 4000}, true, false, 32096, 20000},
		"avoidance, large":          {congestion{cwnd: 160000, ssthresh: 20000}, packetState{anyAcks: true, preAck: 160000, acked: 9600}, true, false, 160096, 20000},
		"yield":                     {congestion{cwnd: 32000, ssthresh: inf}, packetState{anyAcks: true, preAck: 32000, acked: 4000}, false, false, 32048, inf},
		"time critical, slow start": {congestion{cwnd: 32000, ssthresh: inf}, packetState{anyAcks: true, preAck: 32000, acked: 1001}, false, true, 32251, inf},
		"time critical, avoidance":  {congestion{cwnd: 160000, ssthresh: 20000}, packetState{anyAcks: true, preAck: 160000, acked: 4800}, false, true, 160048, 20000},
		"loss halves":               {congestion{cwnd: 32000, ssthresh: inf}, packetState{anyAcks: true, anyLoss: true, preAck: 30000}, true, false, 15000, 15000},
		"loss, small":               {congestion{cwnd: 6000, ssthresh: inf}, packetState{anyAcks: true, anyLoss: true, preAck: 6000}, true, false, cwndInit, cwndInit},
		"loss, large":               {congestion{cwnd: 80000, ssthresh: inf}, packetState{anyAcks: true, anyLoss: true, preAck: 80000}, true, false, 70000, 70000},
		"loss, large, yielding":     {congestion{cwnd: 80000, ssthresh: inf}, packetState{anyAcks: true, anyLoss: true, preAck: 80000}, false, false, 40000, 40000},
		"loss, time critical":       {congestion{cwnd: 32000, ssthresh: inf}, packetState{anyAcks: true, anyLoss: true, preAck: 32000}, false, true, 28000, 28000},
		"after a timeout":           {congestion{cwnd: cwndTimedOut, ssthresh: inf}, packetState{anyAcks: true, preAck: 1500, acked: 1500}, true, false, cwndInit, inf},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.before
			c.adjust(&test.packet, test.fastGrow, test.tcSent)
			if c.cwnd != test.cwnd || c.ssthresh != test.ssthresh {
				t.Errorf("window %d, threshold %d, want %d and %d", c.cwnd, c.ssthresh, test.cwnd, test.ssthresh)
			}
		})
	}
}

func TestTimeoutWindow(t *testing.T) {
	c := congestion{cwnd: 40000, ssthresh: 10000, burst: 6, accumulated: 5}
	c.timeout(true)
	if c.cwnd != cwndTimedOut || c.ssthresh != 30000 || c.burst != 0 || c.accumulated != 0 {
		t.Errorf("after a timeout: %+v", c)
	}
	c.timeout(false)
	if c.cwnd != cwndInit {
		t.Errorf("after a pause: %+v", c)
	}
}

func TestBurst(t *testing.T) {
	w := newWorld(t, network{delay: 50 * time.Millisecond})
	f := w.a.open("bulk", SendOptions{})
	w.a.mux.cc.cwnd = 1 << 20
	for i := range 60 {
		write(t, f, content(i, 1000), WriteOptions{})
	}
	since := 0
	w.a.trace = func(_ []byte, info FillInfo) {
		if info.Data {
			since++
		}
		if since > maxBurst {
			t.Errorf("%d packets with data since the last acknowledgement", since)
		}
	}
	w.b.trace = func(_ []byte, info FillInfo) {
		if info.Acks {
			since = 0 // arrives later, which only makes the check stricter
		}
	}
	w.a.flush()
	if since != maxBurst {
		t.Errorf("a burst of %d packets", since)
	}
	w.a.flush()
	since = 0
	w.run(60 * time.Millisecond)
	w.a.trace = nil
	f.Close()
	w.rest()
}

// TestThroughput fills narrow links: the window finds the rate and keeps near it.
func TestThroughput(t *testing.T) {
	for name, net := range map[string]network{
		"1 MB/s":          {delay: 20 * time.Millisecond, rate: 1_000_000, queue: 60 * time.Millisecond},
		"100 kB/s":        {delay: 40 * time.Millisecond, rate: 100_000, queue: 100 * time.Millisecond},
		"1 MB/s and loss": {delay: 20 * time.Millisecond, rate: 1_000_000, queue: 60 * time.Millisecond, loss: 0.001},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, net)
			var out outbox
			f := w.a.open("bulk", SendOptions{Events: &out})
			n := 0
			fill := func() {
				for f.Write(content(n, 10_000), WriteOptions{}) == nil {
					n++
				}
			}
			out.onWritable = fill
			fill()
			w.run(20 * time.Second)
			in := w.b.got[f.ID()]
			share := float64(len(in.messages)) * 10_000 / 20 / float64(net.rate)
			stats := w.a.mux.Stats()
			t.Logf("%.2f of the link, %d fragments sent, %d resent, %d timeouts", share, stats.FragmentsSent, stats.FragmentsResent, stats.Timeouts)
			if share < 0.75 {
				t.Errorf("%.2f of the link used", share)
			}
			if stats.FragmentsResent > stats.FragmentsSent/20 {
				t.Errorf("%d of %d fragments resent", stats.FragmentsResent, stats.FragmentsSent)
			}
		})
	}
}

func TestTimeoutBacksOff(t *testing.T) {
	w := newWorld(t, network{delay: 20 * time.Millisecond})
	f := w.a.open("flow", SendOptions{})
	w.net.loss = 1
	sent := sentAt(w.a, wire.ChunkUserData)
	write(t, f, []byte("x"), WriteOptions{})
	w.run(2 * time.Minute)
	for i := 1; i < len(*sent); i++ {
		gap, want := (*sent)[i]-(*sent)[i-1], 250*time.Millisecond
		for range i - 1 {
			want = min(want*14142/10000, maxRTO)
		}
		if gap != want {
			t.Errorf("transmission %d after %v, want %v", i, gap, want)
		}
	}
	if w.a.mux.RTO() != maxRTO {
		t.Errorf("timeout is %v after two minutes", w.a.mux.RTO())
	}
	w.net.loss = 0
	w.run(15 * time.Second)
	if w.a.mux.RTO() != 250*time.Millisecond || len(w.b.got[f.ID()].messages) != 1 {
		t.Errorf("timeout is %v after a measurement", w.a.mux.RTO())
	}
	f.Close()
	w.rest()
}

func TestMovedStartsAgain(t *testing.T) {
	w := newWorld(t, network{delay: 20 * time.Millisecond})
	f := w.a.open("flow", SendOptions{})
	for i := range 200 {
		write(t, f, content(i, 1000), WriteOptions{})
	}
	w.run(150 * time.Millisecond)
	before := w.a.mux.cc
	if before.cwnd <= cwndInit {
		t.Fatalf("window is %d", before.cwnd)
	}
	w.a.mux.Moved()
	if c := w.a.mux.cc; c.cwnd != cwndInit || c.outstanding != before.outstanding || w.a.mux.RTO() != initialRTO {
		t.Errorf("after moving: %+v", c)
	}
	f.Close()
	w.rest()
}

func TestSetRTTFloors(t *testing.T) {
	m := newWorld(t, network{}).a.mux
	if m.RTO() != 3*time.Second {
		t.Errorf("starts with %v", m.RTO())
	}
	for _, test := range []struct{ srtt, erto, want time.Duration }{
		{10 * time.Millisecond, 210 * time.Millisecond, 250 * time.Millisecond},
		{time.Second, 900 * time.Millisecond, time.Second},
		{time.Second, 1300 * time.Millisecond, 1300 * time.Millisecond},
	} {
		if m.SetRTT(test.srtt, test.erto); m.RTO() != test.want {
			t.Errorf("%v and %v make %v, want %v", test.srtt, test.erto, m.RTO(), test.want)
		}
	}
}

func TestECN(t *testing.T) {
	bulk := func(w *world, d time.Duration) (ect, data int) {
		f := w.a.open("bulk", SendOptions{})
		w.a.trace = func(_ []byte, info FillInfo) {
			if info.ECT {
				ect++
			}
			if info.Data {
				data++
			}
		}
		for i := range 300 {
			write(t, f, content(i, 1000), WriteOptions{})
		}
		w.run(d)
		return ect, data
	}
	t.Run("reported", func(t *testing.T) {
		w := newWorld(t, network{delay: 20 * time.Millisecond})
		reports := sentAt(w.b, wire.ChunkECNReport)
		ect, data := bulk(w, 5*time.Second)
		if ect != data || len(*reports) == 0 || w.a.mux.Stats().CongestionMarks != 0 {
			t.Errorf("%d of %d packets ECN-capable, %d reports", ect, data, len(*reports))
		}
		if w.b.mux.ecn.report {
			t.Error("a report is due")
		}
	})
	t.Run("marked", func(t *testing.T) {
		w := newWorld(t, network{delay: 20 * time.Millisecond, mark: 1})
		bulk(w, 300*time.Millisecond)
		if w.a.mux.Stats().CongestionMarks == 0 || w.a.mux.cc.cwnd != cwndInit || w.a.mux.Stats().FragmentsLost != 0 {
			t.Errorf("window %d after %d marks", w.a.mux.cc.cwnd, w.a.mux.Stats().CongestionMarks)
		}
		if w.b.mux.ecn.marked == 0 || w.a.mux.ecn.farMarked == 0 {
			t.Error("nothing counted")
		}
	})
	t.Run("once a window", func(t *testing.T) {
		w := newWorld(t, network{delay: 20 * time.Millisecond})
		bulk(w, 150*time.Millisecond)
		m := w.a.mux
		before := m.cc.cwnd
		for i := range 10 {
			receive(m, wire.ECNReport{Count: uint8(i + 1)}.Append(nil), PacketInfo{})
		}
		reduced := m.cc.cwnd
		if m.cc.outstanding < 2*cwndInit || reduced >= before || reduced <= cwndInit {
			t.Fatalf("window %d, before %d, with %d in flight", reduced, before, m.cc.outstanding)
		}
		w.run(100 * time.Millisecond)
		now := m.cc.cwnd
		receive(m, wire.ECNReport{Count: 11}.Append(nil), PacketInfo{})
		if m.cc.cwnd >= now {
			t.Errorf("window %d, was %d: a mark on the next window did nothing", m.cc.cwnd, now)
		}
	})
	t.Run("bleached", func(t *testing.T) {
		w := newWorld(t, network{delay: 20 * time.Millisecond, bleach: true})
		reports := sentAt(w.b, wire.ChunkECNReport)
		ect, data := bulk(w, 5*time.Second)
		if ect > maxBurst || data < 100 || len(*reports) != 0 {
			t.Errorf("%d of %d packets ECN-capable, %d reports", ect, data, len(*reports))
		}
	})
	t.Run("count wraps", func(t *testing.T) {
		w := newWorld(t, network{})
		m := w.a.mux
		for i := range 600 {
			receive(m, wire.ECNReport{Count: uint8(i)}.Append(nil), PacketInfo{})
		}
		if got := m.Stats().CongestionMarks; got != 599 {
			t.Errorf("%d marks", got)
		}
	})
}
