package flow

import (
	"slices"
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

func TestHigherPriorityGoesFirst(t *testing.T) {
	w := newWorld(t, network{delay: 20 * time.Millisecond})
	priorities := []Priority{
		PriorityRoutine, PriorityFlashOverride, PriorityBackground, PriorityElevated,
		PriorityData, PriorityFlash, PriorityBulk, PriorityImmediate,
	}
	for _, p := range priorities {
		f := w.a.open("flow", SendOptions{Priority: p})
		for i := range 4 {
			write(t, f, content(i, 1000), WriteOptions{})
		}
	}
	var order []Priority
	w.a.trace = func(packet []byte, info FillInfo) {
		_, body, _, _ := wire.NextChunk(packet)
		c, err := wire.ParseUserData(body)
		if err != nil {
			return
		}
		f := w.a.mux.findSend(c.Flow)
		order = append(order, f.Priority())
		if info.TimeCritical != (f.Priority() > PriorityRoutine) {
			t.Errorf("priority %d sent with time critical %v", f.Priority(), info.TimeCritical)
		}
	}
	w.run(3 * time.Second)
	if len(order) != 4*len(priorities) || !slices.IsSortedFunc(order, func(a, b Priority) int { return int(b) - int(a) }) {
		t.Errorf("sent in order %v", order)
	}
}

func TestEqualPrioritiesTakeTurns(t *testing.T) {
	w := newWorld(t, network{delay: 20 * time.Millisecond})
	for range 3 {
		f := w.a.open("flow", SendOptions{})
		for i := range 20 {
			write(t, f, content(i, 1000), WriteOptions{})
		}
	}
	var order []uint64
	w.a.trace = func(packet []byte, _ FillInfo) {
		_, body, _, _ := wire.NextChunk(packet)
		if c, err := wire.ParseUserData(body); err == nil {
			order = append(order, c.Flow)
		}
	}
	w.run(3 * time.Second)
	for i := 3; i < len(order); i++ {
		if order[i] != order[i-3] {
			t.Fatalf("sent in order %v", order)
		}
	}
}

func TestSetPriority(t *testing.T) {
	w := newWorld(t, network{delay: 20 * time.Millisecond})
	f, g := w.a.open("f", SendOptions{}), w.a.open("g", SendOptions{})
	write(t, f, content(1, 1000), WriteOptions{})
	write(t, g, content(1, 1000), WriteOptions{})
	g.SetPriority(PriorityFlash)
	if w.a.mux.ready != g || g.readyNext != f || f.readyNext != nil {
		t.Error("the raised flow is not first")
	}
	g.SetPriority(PriorityBulk)
	if w.a.mux.ready != f || f.readyNext != g || g.readyNext != nil {
		t.Error("the lowered flow is not last")
	}
}

func TestPacketsAreShared(t *testing.T) {
	w := newWorld(t, network{delay: 20 * time.Millisecond})
	f, g := w.a.open("f", SendOptions{}), w.a.open("g", SendOptions{})
	back := w.b.open("back", SendOptions{})
	for i := range 3 {
		write(t, f, content(i, 20), WriteOptions{})
		write(t, g, content(i, 20), WriteOptions{})
	}
	write(t, back, content(1, 20), WriteOptions{})
	var packets [][]wire.ChunkType
	w.a.trace = func(packet []byte, _ FillInfo) { packets = append(packets, chunksOf(packet)) }
	w.a.flush()
	const user, next = wire.ChunkUserData, wire.ChunkNextUserData
	if len(packets) != 1 || !slices.Equal(packets[0], []wire.ChunkType{user, next, next, user, next, next}) {
		t.Errorf("sent %v", packets)
	}
	w.run(time.Second)
	// Data and an acknowledgement that is due ride together.
	write(t, back, content(1, 20), WriteOptions{})
	w.run(50 * time.Millisecond)
	packets = nil
	write(t, f, content(1, 20), WriteOptions{})
	w.a.flush()
	if len(packets) != 1 || !slices.Equal(packets[0], []wire.ChunkType{user, wire.ChunkECNReport, wire.ChunkAckRanges}) {
		t.Errorf("sent %v", packets)
	}
}

// TestTimeCriticalReverse has three sessions at one engine: when one receives time
// critical data, the others ask their far ends to yield (section 3.5.2.1).
func TestTimeCriticalReverse(t *testing.T) {
	shared := new(Shared)
	w := newWorld(t, network{})
	a, b, c := NewMux(w.a, Config{Shared: shared}), NewMux(w.a, Config{Shared: shared}), NewMux(w.a, Config{Shared: shared})
	expect := func(when string, wantA, wantB, wantC bool) {
		t.Helper()
		if a.TimeCriticalReverse() != wantA || b.TimeCriticalReverse() != wantB || c.TimeCriticalReverse() != wantC {
			t.Errorf("%s: %v %v %v, want %v %v %v", when, a.TimeCriticalReverse(), b.TimeCriticalReverse(), c.TimeCriticalReverse(), wantA, wantB, wantC)
		}
	}
	expect("at first", false, false, false)
	a.ReceiveEnd(PacketInfo{TimeCritical: true})
	expect("a receives", false, true, true)
	w.now = w.now.Add(500 * time.Millisecond)
	b.ReceiveEnd(PacketInfo{TimeCritical: true})
	expect("b receives", true, true, true)
	w.now = w.now.Add(500 * time.Millisecond)
	expect("a is over", true, false, true)
	b.Abort(nil)
	expect("b ended", false, false, false)

	if !a.tc.fastGrow(a) || a.tc.recentlySent(a.now()) {
		t.Error("a has no reason to yield")
	}
	f, _ := c.Open(nil, SendOptions{Priority: PriorityFlash})
	write(t, f, []byte("x"), WriteOptions{})
	if _, info := c.Fill(nil, testLimit); !info.TimeCritical {
		t.Error("not time critical")
	}
	if a.tc.fastGrow(a) || a.tc.recentlySent(a.now()) || !c.tc.recentlySent(c.now()) {
		t.Error("a must yield to c")
	}
	w.now = w.now.Add(time.Second)
	if !a.tc.fastGrow(a) {
		t.Error("a yields too long")
	}
	a.ReceiveEnd(PacketInfo{TimeCriticalReverse: true})
	if a.tc.fastGrow(a) || !c.tc.fastGrow(c) {
		t.Error("only a must yield to its far end's others")
	}
}
