package flow

import (
	"errors"
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

func TestAccount(t *testing.T) {
	var root, wide, prefix, other, session Account
	root.Init(nil, 1000)
	wide.Init(&root, 500)
	prefix.Init(&wide, 100)
	other.Init(&root, 500)
	session.Init(&prefix, 0)

	session.Add(300)
	if got := session.Ask(150, 8); got != Granted {
		t.Errorf("above its share, while less than half is held: %v", got)
	}
	other.Add(300)
	if got := session.Ask(1, 8); got != OverShare {
		t.Errorf("above its share, while more than half is held: %v", got)
	}
	if got := other.Ask(100, 8); got != Granted {
		t.Errorf("below its share: %v", got)
	}
	other.Add(390)
	if got := other.Ask(11, 8); got != OverLimit {
		t.Errorf("above the limit: %v", got)
	}
	if root.Held() != 990 || root.Over() || !root.Strained() {
		t.Errorf("%d held", root.Held())
	}
	if session.overdrawn(135) || !session.overdrawn(136) {
		t.Error("the overdraft is not an eighth")
	}
	session.Move(&other)
	if prefix.Held() != 0 || wide.Held() != 0 || other.Held() != 990 || root.Held() != 990 {
		t.Errorf("moved: %d, %d, %d, %d", prefix.Held(), wide.Held(), other.Held(), root.Held())
	}
	root.SetLimit(0)
	if got := session.Ask(1<<40, 8); got != Granted {
		t.Errorf("without a limit: %v", got)
	}
}

// data appends one whole message as sequence number seq of flow 2.
func data(b []byte, seq uint64, metadata bool, msg []byte) []byte {
	c := wire.UserData{Fragment: wire.FragmentWhole, Flow: 2, Seq: seq, FSNOffset: seq}
	if metadata {
		c.HasOptions, c.Options = true, wire.AppendOption(nil, wire.OptionMetadata, []byte("m"))
	}
	return append(c.AppendHeader(b, len(msg)), msg...)
}

// What comes behind a gap is refused, and not acknowledged, above the limit. The
// missing message is taken all the same, and all arrives in the end.
func TestBehindAGapAboveTheLimit(t *testing.T) {
	var account Account
	account.Init(nil, 4000)
	const kept = 4000 / 8 * refusable
	w := newWorld(t, network{delay: 10 * time.Millisecond}, Config{}, Config{Account: &account})
	lost := true
	w.net.drop = func(from *end, n int) bool { return from == w.a && lost && n == 1 }
	f := w.a.open("flow", SendOptions{})
	var want [][]byte
	for i := range 400 {
		want = append(want, content(i, 100))
		write(t, f, want[i], WriteOptions{})
	}
	most := int64(0)
	w.until(2*time.Minute, func() bool {
		most = max(most, account.Held())
		return f.Buffered() == 0
	})
	if most > kept || w.b.mux.Stats().Dropped[DropMemory] == 0 {
		t.Errorf("%d bytes held at most; dropped %v", most, w.b.mux.Stats().Dropped)
	}
	sameMessages(t, w.b.got[f.ID()].messages, want)
	f.Close()
	w.rest()

	// The hostile sender never sends the first.
	account.SetLimit(20_000)
	const behind = 20_000 / 8 * refusable
	b := w.b.mux
	packet := data(nil, 2, true, []byte("x"))
	for seq := uint64(3); seq < 1000; seq++ {
		packet = data(packet, seq, false, []byte("x"))
	}
	receive(b, packet, PacketInfo{})
	if held := account.Held(); held > behind || b.Stats().Dropped[DropMemory] < 600 {
		t.Errorf("%d bytes held, %d refused", held, b.Stats().Dropped[DropMemory])
	}
	_, in := b.findRecv(2)
	if last := in.seen.runs[len(in.seen.runs)-1].To; last > 320 {
		t.Errorf("acknowledges up to %d", last)
	}
	if account.Refused() == 0 {
		t.Error("refusals are not counted")
	}
	// No flow begins above the limit either.
	account.Add(20_000)
	c := wire.UserData{Flow: 3, Seq: 1, FSNOffset: 1, HasOptions: true, Options: wire.AppendOption(nil, wire.OptionMetadata, []byte("m"))}
	receive(b, c.AppendHeader(nil, 0), PacketInfo{})
	if _, in := b.findRecv(3); in != nil {
		t.Error("a flow began")
	}
}

// A message is in memory until its last fragment is acknowledged: a far end that leaves
// one out of each must not have us keep any number of them.
func TestAllButOneFragmentAcknowledged(t *testing.T) {
	w := newWorld(t, network{})
	f := w.a.open("flow", SendOptions{Buffer: 100_000})
	kept := func() (n int) {
		for e := f.queue.head; e != nil; e = e.next {
			if e == &e.msg.first {
				n += len(e.msg.data)
			}
		}
		return n
	}
	m := w.a.mux
	m.cc.cwnd = 1 << 24 // it has read much before
	written := 0
	for range 300 {
		if err := f.Write(content(1, 20_000), WriteOptions{}); err == nil {
			written++
		} else if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		for range 200 {
			out, _ := m.Fill(nil, testLimit)
			if len(out) == 0 {
				break
			}
			// All that was sent but the first fragment of each message.
			var got seqSet
			for e := f.queue.head; e != nil && e.everSent; e = e.next {
				if e != &e.msg.first {
					got.add(e.seq, maxGaps)
				}
			}
			typ, body, _, _ := wire.NextChunk(wire.AppendAckRanges(nil, f.ID(), 1000, 0, got.runs, 1<<20))
			m.ReceiveChunk(typ, body)
			m.ReceiveEnd(PacketInfo{})
		}
		m.cc.cwnd = 1 << 24
	}
	if n := kept(); n > 100_000 || n != written*20_000 {
		t.Errorf("%d bytes are kept of %d messages", n, written)
	}
	m.Abort(nil)
	if held := m.account.Held(); held != 0 {
		t.Errorf("%d bytes held after the end", held)
	}
}

// A list of messages behind a gap does not outlive them.
func TestHoldingsLetGo(t *testing.T) {
	w := newWorld(t, network{})
	var packet []byte
	for seq := uint64(2); seq < 2500; seq++ {
		packet = data(packet, seq, seq == 2, []byte("x"))
	}
	receive(w.b.mux, packet, PacketInfo{})
	receive(w.b.mux, data(nil, 2502, false, []byte("x")), PacketInfo{})
	_, in := w.b.mux.findRecv(2)
	full := cap(in.held.list)
	receive(w.b.mux, data(nil, 1, false, []byte("x")), PacketInfo{})
	if n := len(w.b.got[2].messages); n != 2499 || full < 2400 {
		t.Fatalf("%d messages delivered, %d places before", n, full)
	}
	if n := cap(in.held.list) + int(in.unused); n > 100 {
		t.Errorf("%d places for one message", n)
	}
}

// A flow with a small buffer holds little more than that.
func TestSmallBuffer(t *testing.T) {
	w := newWorld(t, network{})
	w.b.incoming = func(f *RecvFlow) (Accept, error) {
		return Accept{Receiver: w.b.box(f), Capacity: 4096}, nil
	}
	var packet []byte
	for seq := uint64(2); seq < 3000; seq++ {
		packet = data(packet, seq, seq == 2, []byte("x"))
	}
	receive(w.b.mux, packet, PacketInfo{})
	if _, in := w.b.mux.findRecv(2); in.held.bytes > 4096+smallSlack || in.held.bytes < 4096 {
		t.Errorf("%d bytes held", in.held.bytes)
	}
}
