package flow

import (
	"errors"
	"net"
	"testing"
	"time"
)

func TestSmallMessagesAndClose(t *testing.T) {
	w := newWorld(t, network{delay: 20 * time.Millisecond})
	var out outbox
	f := w.a.open("small", SendOptions{Events: &out})
	var want [][]byte
	for i := range 8 {
		want = append(want, content(i, i*3))
		write(t, f, want[i], WriteOptions{})
	}
	f.Close()
	w.run(time.Second)

	in := w.b.got[f.ID()]
	if in == nil {
		t.Fatal("the flow did not arrive")
	}
	sameMessages(t, in.messages, want)
	if in.ended != 1 || in.err != nil || in.gaps != 0 {
		t.Errorf("ended %d times with %v, %d gaps", in.ended, in.err, in.gaps)
	}
	if out.closed != 1 || out.err != nil {
		t.Errorf("closed %d times with %v", out.closed, out.err)
	}
	if w.a.packets != 1 || w.b.packets != 1 {
		t.Errorf("took %d+%d packets, want 1+1", w.a.packets, w.b.packets)
	}
	w.rest()
}

func TestEveryMessageArrives(t *testing.T) {
	for name, net := range map[string]network{
		"clean":     {delay: 10 * time.Millisecond},
		"loss":      {delay: 10 * time.Millisecond, loss: 0.1},
		"heavyLoss": {delay: 10 * time.Millisecond, loss: 0.35},
		"reorder":   {delay: 10 * time.Millisecond, jitter: 60 * time.Millisecond},
		"duplicate": {delay: 10 * time.Millisecond, duplicate: 0.5},
		"all":       {delay: 10 * time.Millisecond, jitter: 30 * time.Millisecond, loss: 0.1, duplicate: 0.2, mark: 0.05},
		"narrow":    {delay: 10 * time.Millisecond, rate: 100_000, queue: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, net)
			f, g := w.a.open("flow", SendOptions{}), w.b.open("back", SendOptions{})
			var want, back [][]byte
			for i := range 150 {
				size := []int{0, 10, 700, 3000, 9000}[i%5]
				want = append(want, content(i, size))
				write(t, f, want[i], WriteOptions{})
				back = append(back, content(-i, 40))
				write(t, g, back[i], WriteOptions{})
			}
			f.Close()
			g.Close()
			w.until(5*time.Minute, func() bool { return w.a.mux.Idle() && w.b.mux.Idle() })
			sameMessages(t, w.b.got[f.ID()].messages, want)
			sameMessages(t, w.a.got[g.ID()].messages, back)
			w.rest()
		})
	}
}

func TestAsReceived(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond, jitter: 50 * time.Millisecond, loss: 0.2})
	w.b.incoming = func(f *RecvFlow) (Accept, error) {
		return Accept{Receiver: w.b.box(f), AsReceived: true}, nil
	}
	f := w.a.open("flow", SendOptions{})
	var want [][]byte
	for i := range 200 {
		want = append(want, content(i, 1+i*13))
		write(t, f, want[i], WriteOptions{})
	}
	f.Close()
	w.until(5*time.Minute, func() bool { return w.a.mux.Idle() && w.b.mux.Idle() })

	in := w.b.got[f.ID()]
	if len(in.messages) != len(want) {
		t.Fatalf("%d messages, want %d", len(in.messages), len(want))
	}
	ordered := true
	seen := map[int]bool{}
	for i, msg := range in.messages {
		n := (len(msg) - 1) / 13
		if seen[n] || string(msg) != string(want[n]) {
			t.Fatalf("message %d is wrong: %s", n, brief(msg))
		}
		seen[n] = true
		ordered = ordered && (i == 0 || in.seqs[i] > in.seqs[i-1])
	}
	if ordered {
		t.Error("delivered in order in spite of loss")
	}
	w.rest()
}

func TestReject(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	w.b.incoming = func(f *RecvFlow) (Accept, error) {
		switch string(f.Metadata()) {
		case "never":
			return Accept{}, &Exception{Code: 123456789}
		case "error":
			return Accept{}, errors.New("no")
		}
		in := w.b.box(f)
		in.onData = func(f *RecvFlow, _ []byte) { f.Reject(10) }
		return Accept{Receiver: in}, nil
	}
	for metadata, code := range map[string]uint64{"never": 123456789, "error": 0, "later": 10} {
		var out outbox
		f := w.a.open(metadata, SendOptions{Events: &out})
		for i := range 20 {
			write(t, f, content(i, 900), WriteOptions{})
		}
		w.run(2 * time.Second)
		var exception *Exception
		if len(out.codes) != 1 || out.codes[0] != code || out.closed != 1 || !errors.As(out.err, &exception) || exception.Code != code {
			t.Errorf("%s: codes %v, closed %d times with %v", metadata, out.codes, out.closed, out.err)
		}
		if err := f.Write(nil, WriteOptions{}); !errors.As(err, &exception) || string(f.Metadata()) != metadata {
			t.Errorf("%s: write returned %v", metadata, err)
		}
		if in := w.b.got[f.ID()]; in != nil && (len(in.messages) != 1 || in.ended != 0) {
			t.Errorf("%s: %d messages, ended %d times", metadata, len(in.messages), in.ended)
		}
	}
	w.rest()
}

func TestReturnFlow(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	var answer *SendFlow
	w.b.incoming = func(f *RecvFlow) (Accept, error) {
		answer = w.b.open("answer", SendOptions{ReturnOf: f})
		write(t, answer, []byte("hello"), WriteOptions{})
		return Accept{Receiver: w.b.box(f)}, nil
	}
	f := w.a.open("question", SendOptions{})
	var association *SendFlow
	w.a.incoming = func(r *RecvFlow) (Accept, error) {
		association = r.ReturnOf()
		return Accept{Receiver: w.a.box(r)}, nil
	}
	write(t, f, []byte("hi"), WriteOptions{})
	w.run(time.Second)
	if association != f {
		t.Fatalf("the answer is in return of %v", association)
	}
	// A flow in return of one that is closed is rejected (section 3.6.3.1, step 7).
	f.Close()
	w.run(time.Second)
	if _, err := w.b.mux.Open(nil, SendOptions{ReturnOf: w.b.mux.recv[0]}); !errors.Is(err, ErrClosed) {
		t.Errorf("opened in return of a closed flow: %v", err)
	}
	answer.Close()
	w.rest()
}

func TestAbortTellsEveryFlowOnce(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	var out outbox
	f := w.a.open("flow", SendOptions{Events: &out})
	g := w.b.open("flow", SendOptions{})
	write(t, f, content(1, 5000), WriteOptions{})
	write(t, g, content(1, 5000), WriteOptions{})
	w.run(time.Second)
	write(t, f, content(1, 50000), WriteOptions{})
	w.a.flush()

	over := errors.New("session over")
	w.a.mux.Abort(over)
	w.a.mux.Abort(errors.New("again"))
	in := w.a.got[g.ID()]
	if out.closed != 1 || out.err != over || in.ended != 1 || in.err != over {
		t.Errorf("sender closed %d times with %v, receiver ended %d times with %v", out.closed, out.err, in.ended, in.err)
	}
	if err := f.Write(nil, WriteOptions{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write returned %v", err)
	}
	if _, err := w.a.mux.Open(nil, SendOptions{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("open returned %v", err)
	}
	if d := w.a.mux.Deadline(); !d.IsZero() || !w.a.mux.Idle() {
		t.Errorf("deadline %v", d)
	}
	w.b.mux.Abort(nil)
}

func TestWriteLimits(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond}, Config{MaxMessage: 20_000})
	var out outbox
	f := w.a.open("flow", SendOptions{Events: &out})
	err := f.Write(make([]byte, 20_001), WriteOptions{})
	var large *TooLargeError
	if !errors.Is(err, ErrTooLarge) || !errors.As(err, &large) || large.Size != 20_001 || large.Limit != 20_000 {
		t.Errorf("write returned %v", err)
	}
	if got, want := err.Error(), "flow: message of 20001 bytes exceeds the limit of 20000"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	n := 0
	for ; ; n++ {
		if err = f.Write(content(n, 20_000), WriteOptions{}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) || f.Buffered() > DefaultSendBuffer || n < 40 {
		t.Errorf("after %d messages and %d bytes: %v", n, f.Buffered(), err)
	}
	w.run(time.Minute)
	if out.writable != 1 || len(w.b.got[f.ID()].messages) != n {
		t.Errorf("writable %d times, %d messages of %d", out.writable, len(w.b.got[f.ID()].messages), n)
	}
	if _, err := w.a.mux.Open(make([]byte, MaxMetadata+1), SendOptions{}); err != ErrMetadata {
		t.Errorf("open returned %v", err)
	}
	f.Close()
	w.rest()
}

func TestFarMessageTooLarge(t *testing.T) {
	for _, asReceived := range []bool{false, true} {
		w := newWorld(t, network{delay: 10 * time.Millisecond}, Config{}, Config{MaxMessage: 5000})
		w.b.incoming = func(f *RecvFlow) (Accept, error) {
			return Accept{Receiver: w.b.box(f), AsReceived: asReceived}, nil
		}
		var out outbox
		f := w.a.open("flow", SendOptions{Events: &out})
		write(t, f, content(1, 5000), WriteOptions{})
		write(t, f, content(2, 20000), WriteOptions{})
		w.run(2 * time.Second)
		in := w.b.got[f.ID()]
		if len(in.messages) != 1 || !errors.Is(in.err, ErrFarMessage) || len(out.codes) != 1 || out.codes[0] != 0 {
			t.Errorf("%d messages, receiver ended with %v, sender got %v", len(in.messages), in.err, out.codes)
		}
		w.rest()
	}
}

func TestTooManyFlows(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond}, Config{MaxFlows: 5}, Config{MaxFlows: 3})
	for range 5 {
		f := w.a.open("flow", SendOptions{})
		write(t, f, []byte("x"), WriteOptions{})
	}
	if _, err := w.a.mux.Open(nil, SendOptions{}); err != ErrTooManyFlows {
		t.Errorf("open returned %v", err)
	}
	w.run(time.Second)
	if len(w.b.mux.recv) != 3 || w.b.mux.Stats().Dropped[DropTooManyFlows] == 0 {
		t.Errorf("%d receiving flows, %d dropped", len(w.b.mux.recv), w.b.mux.Stats().Dropped[DropTooManyFlows])
	}
}
