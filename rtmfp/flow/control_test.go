package flow

import (
	"slices"
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

// chunksOf lists the types of the chunks of a packet.
func chunksOf(packet []byte) (types []wire.ChunkType) {
	for {
		typ, _, rest, ok := wire.NextChunk(packet)
		if !ok {
			return types
		}
		types = append(types, typ)
		packet = rest
	}
}

// sentAt collects when e sends chunks of a type.
func sentAt(e *end, typ wire.ChunkType) *[]time.Duration {
	var list []time.Duration
	start := e.now
	before := e.trace
	e.trace = func(packet []byte, info FillInfo) {
		if slices.Contains(chunksOf(packet), typ) {
			list = append(list, e.now.Sub(start))
		}
		if before != nil {
			before(packet, info)
		}
	}
	return &list
}

func TestHoldStopsTheSenderAndProbes(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	var held *RecvFlow
	w.b.incoming = func(f *RecvFlow) (Accept, error) {
		held = f
		f.SetHold(true)
		return Accept{Receiver: w.b.box(f), Capacity: 4096}, nil
	}
	probes := sentAt(w.a, wire.ChunkBufferProbe)
	f := w.a.open("hold", SendOptions{})
	var want [][]byte
	for i := range 12 {
		want = append(want, content(i, 700))
		write(t, f, want[i], WriteOptions{})
	}
	f.Close()
	w.run(8 * time.Second)
	in := w.b.got[f.ID()]
	if len(in.messages) != 0 || f.Buffered() == 0 {
		t.Fatalf("%d messages delivered on hold, %d bytes waiting", len(in.messages), f.Buffered())
	}
	if held.held.bytes > 4096+6*764 {
		t.Errorf("%d bytes held", held.held.bytes)
	}
	// After max(1 s, ERTO), then times the square root of two.
	if len(*probes) < 4 {
		t.Fatalf("probes at %v", *probes)
	}
	for i, ms := range []int{1000, 1414, 2000, 2828} {
		last := 40 * time.Millisecond // when the window closed
		if i > 0 {
			last = (*probes)[i-1]
		}
		if gap := (*probes)[i] - last - time.Duration(ms)*time.Millisecond; gap.Abs() > 50*time.Millisecond {
			t.Errorf("probe %d came %v too late", i, gap)
		}
	}

	held.SetHold(false)
	w.run(time.Second)
	sameMessages(t, in.messages, want)
	if in.ended != 1 {
		t.Errorf("ended %d times", in.ended)
	}
	w.rest()
}

func TestHoldReleasedByLostUpdate(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	var held *RecvFlow
	w.b.incoming = func(f *RecvFlow) (Accept, error) {
		held = f
		f.SetHold(true)
		return Accept{Receiver: w.b.box(f), Capacity: 2048}, nil
	}
	f := w.a.open("hold", SendOptions{})
	for i := range 12 {
		write(t, f, content(i, 700), WriteOptions{})
	}
	f.Close()
	w.run(500 * time.Millisecond)
	w.net.loss = 1
	held.SetHold(false)
	w.run(10 * time.Millisecond)
	w.net.loss = 0
	w.run(10 * time.Second)
	if n := len(w.b.got[f.ID()].messages); n != 12 {
		t.Errorf("%d messages", n)
	}
	w.rest()
}

func TestNoBuffer(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	var far *RecvFlow
	w.b.incoming = func(f *RecvFlow) (Accept, error) {
		far = f
		return Accept{Receiver: w.b.box(f), Capacity: -1}, nil
	}
	f := w.a.open("zero", SendOptions{})
	for i := range 40 {
		write(t, f, content(i, 1000), WriteOptions{})
	}
	f.Close()
	w.run(5 * time.Second)
	in := w.b.got[f.ID()]
	if n := len(in.messages); n == 0 || n > 8 {
		t.Errorf("%d messages arrived on the assumed window", n)
	}
	far.SetCapacity(1 << 20)
	w.run(100 * time.Millisecond) // no probe needed
	if n := len(in.messages); n < 20 {
		t.Errorf("%d messages after the buffer opened", n)
	}
	w.rest()
	if len(in.messages) != 40 {
		t.Errorf("%d messages", len(in.messages))
	}
}

func TestHoldAsReceived(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond, loss: 0.2})
	var far *RecvFlow
	w.b.incoming = func(f *RecvFlow) (Accept, error) {
		far = f
		f.SetHold(true)
		return Accept{Receiver: w.b.box(f), AsReceived: true}, nil
	}
	f := w.a.open("hold", SendOptions{})
	for i := range 30 {
		write(t, f, content(i, 1500), WriteOptions{})
	}
	w.run(3 * time.Second)
	in := w.b.got[f.ID()]
	if len(in.messages) != 0 {
		t.Fatalf("%d messages delivered on hold", len(in.messages))
	}
	// A receiver may go on hold again within a message.
	in.onData = func(f *RecvFlow, _ []byte) {
		if len(in.messages) == 5 {
			f.SetHold(true)
		}
	}
	far.SetHold(false)
	if len(in.messages) != 5 {
		t.Errorf("%d messages after another hold", len(in.messages))
	}
	far.SetHold(false)
	f.Close()
	w.rest()
	if len(in.messages) != 30 {
		t.Errorf("%d messages", len(in.messages))
	}
}

// TestReceiverIgnoresTheWindow has a sender that does: what is above the buffer and
// its slack is neither kept nor acknowledged.
func TestReceiverIgnoresTheWindow(t *testing.T) {
	for _, hold := range []bool{true, false} {
		w := newWorld(t, network{})
		w.b.incoming = func(f *RecvFlow) (Accept, error) {
			f.SetHold(hold)
			return Accept{Receiver: w.b.box(f), Capacity: 4096}, nil
		}
		first := uint64(1)
		if !hold {
			first = 2 // so that nothing can be delivered
		}
		var far *RecvFlow
		for seq := first; seq < 1000; seq++ {
			c := wire.UserData{
				Flow: 9, Seq: seq, FSNOffset: seq, Data: make([]byte, 1000),
				HasOptions: true, Options: wire.AppendOption(nil, wire.OptionMetadata, nil),
			}
			receive(w.b.mux, c.Append(nil), PacketInfo{})
			_, far = w.b.mux.findRecv(9)
			if most := 4096 + DefaultMaxMessage + receiveSlack; int(far.held.bytes) > most {
				t.Fatalf("holds %d bytes of at most %d", far.held.bytes, most)
			}
		}
		top := far.seen.cum
		if !hold {
			top = far.seen.runs[len(far.seen.runs)-1].To
		}
		if top > 200 || w.b.mux.Stats().Dropped[DropBufferFull] == 0 {
			t.Errorf("hold %v: acknowledges up to %d", hold, top)
		}
	}
}

func TestAckTiming(t *testing.T) {
	start := func() (*world, *SendFlow, *[]time.Duration) {
		w := newWorld(t, network{delay: time.Millisecond})
		acks := sentAt(w.b, wire.ChunkAckRanges)
		f := w.a.open("flow", SendOptions{})
		return w, f, acks
	}
	near := func(t *testing.T, got []time.Duration, want ...int) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("acknowledged at %v, want %v", got, want)
		}
		for i := range got {
			if (got[i] - time.Duration(want[i])*time.Millisecond).Abs() > 5*time.Millisecond {
				t.Errorf("acknowledged at %v, want %v", got, want)
			}
		}
	}
	msg := content(1, 50)
	t.Run("first at once, then delayed", func(t *testing.T) {
		w, f, acks := start()
		write(t, f, msg, WriteOptions{})
		w.run(100 * time.Millisecond)
		write(t, f, msg, WriteOptions{})
		w.run(time.Second)
		near(t, *acks, 1, 301)
	})
	t.Run("every second packet", func(t *testing.T) {
		w, f, acks := start()
		for range 5 {
			write(t, f, msg, WriteOptions{})
			w.run(50 * time.Millisecond)
		}
		w.run(time.Second)
		near(t, *acks, 1, 101, 201)
	})
	t.Run("gap", func(t *testing.T) {
		w, f, acks := start()
		lost := false
		w.net.drop = func(e *end, n int) bool {
			if e == w.a && n == 2 && !lost {
				lost = true
				return true
			}
			return false
		}
		for range 4 {
			write(t, f, msg, WriteOptions{})
			w.run(50 * time.Millisecond)
		}
		w.run(time.Second)
		// The two behind the gap, and after the timeout the one that closes it.
		near(t, (*acks)[:3], 1, 101, 151)
		if len(*acks) != 4 {
			t.Errorf("acknowledged at %v", *acks)
		}
	})
	t.Run("duplicate and final", func(t *testing.T) {
		w, f, acks := start()
		write(t, f, msg, WriteOptions{})
		w.run(100 * time.Millisecond)
		write(t, f, msg, WriteOptions{})
		f.Close()
		w.run(100 * time.Millisecond)
		near(t, *acks, 1, 101)
	})
	t.Run("nearly full", func(t *testing.T) {
		w, f, acks := start()
		w.b.incoming = func(f *RecvFlow) (Accept, error) {
			f.SetHold(true)
			return Accept{Receiver: w.b.box(f), Capacity: 2000}, nil
		}
		for range 3 {
			write(t, f, content(1, 500), WriteOptions{})
			w.run(50 * time.Millisecond)
		}
		near(t, *acks, 1, 51, 101)
	})
}

func TestAckChoosesTheShorterForm(t *testing.T) {
	w := newWorld(t, network{})
	data := func(seq uint64) {
		c := wire.UserData{
			Flow: 9, Seq: seq, FSNOffset: seq,
			HasOptions: true, Options: wire.AppendOption(nil, wire.OptionMetadata, nil),
		}
		receive(w.b.mux, c.Append(nil), PacketInfo{})
	}
	form := func() wire.ChunkType {
		packet, info := w.b.mux.Fill(nil, testLimit)
		if !info.Acks {
			t.Fatal("no acknowledgement")
		}
		return chunksOf(packet)[0]
	}
	data(1)
	data(3)
	if got := form(); got != wire.ChunkAckRanges {
		t.Errorf("before the far end sent one: %v", got)
	}
	receive(w.b.mux, wire.AckBitmap{Flow: 77}.Append(nil), PacketInfo{})
	data(3)
	if got := form(); got != wire.ChunkAckBitmap {
		t.Errorf("one hole: %v", got)
	}
	for seq := uint64(5); seq < 40; seq += 2 {
		data(seq)
	}
	if got := form(); got != wire.ChunkAckBitmap {
		t.Errorf("many holes: %v", got)
	}
	data(100_000)
	if got := form(); got != wire.ChunkAckRanges {
		t.Errorf("a wide hole: %v", got)
	}
}

// TestAckIsCut fills a set with more runs than a packet can tell.
func TestAckIsCut(t *testing.T) {
	w := newWorld(t, network{})
	for i := range uint64(2000) {
		seq := 1 + i*100
		c := wire.UserData{
			Flow: 9, Seq: seq, FSNOffset: seq,
			HasOptions: true, Options: wire.AppendOption(nil, wire.OptionMetadata, nil),
		}
		receive(w.b.mux, c.Append(nil), PacketInfo{})
	}
	_, f := w.b.mux.findRecv(9)
	if len(f.seen.runs) != maxGaps || w.b.mux.Stats().Dropped[DropGaps] == 0 {
		t.Errorf("%d runs kept", len(f.seen.runs))
	}
	packet, info := w.b.mux.Fill(nil, 300)
	if !info.Acks || len(packet) < 290 || len(packet) > 300 {
		t.Errorf("an acknowledgement of %d bytes", len(packet))
	}
	if packet, _ := w.b.mux.Fill(nil, 300); len(packet) != 0 {
		t.Error("acknowledged twice")
	}
}
