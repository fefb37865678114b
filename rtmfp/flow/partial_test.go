package flow

import (
	"slices"
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

func TestStartBy(t *testing.T) {
	w := newWorld(t, network{delay: 50 * time.Millisecond, rate: 20_000, queue: time.Second})
	var out outbox
	f := w.a.open("live", SendOptions{Events: &out})
	receipts := make([]Receipt, 60)
	for i := range receipts {
		write(t, f, content(i, 1000), WriteOptions{StartBy: time.Second, Receipt: &receipts[i]})
	}
	w.run(10 * time.Second)
	in := w.b.got[f.ID()]
	if n := len(in.messages); n < 10 || n > 40 {
		t.Errorf("%d messages of 60 arrived through a link that takes 20 in a second", n)
	}
	for i := range receipts {
		arrived := slices.ContainsFunc(in.messages, func(m []byte) bool { return string(m) == string(content(i, 1000)) })
		if receipts[i].Delivered() != arrived || receipts[i].Abandoned() == arrived {
			t.Errorf("message %d: arrived %v, delivered %v, abandoned %v", i, arrived, receipts[i].Delivered(), receipts[i].Abandoned())
		}
	}
	if f.Buffered() != 0 {
		t.Errorf("%d bytes buffered", f.Buffered())
	}
	// What comes later is delivered behind a gap.
	write(t, f, []byte("later"), WriteOptions{})
	f.Close()
	w.run(10 * time.Second)
	if last := in.messages[len(in.messages)-1]; string(last) != "later" || in.gaps == 0 || in.ended != 1 {
		t.Errorf("last %q, %d gaps, ended %d times", last, in.gaps, in.ended)
	}
	w.rest()
}

func TestFinishBy(t *testing.T) {
	for _, asReceived := range []bool{false, true} {
		w := newWorld(t, network{delay: 40 * time.Millisecond, loss: 0.2, jitter: 20 * time.Millisecond})
		w.b.incoming = func(f *RecvFlow) (Accept, error) {
			return Accept{Receiver: w.b.box(f), AsReceived: asReceived}, nil
		}
		f := w.a.open("live", SendOptions{})
		receipts := make([]Receipt, 300)
		for i := range receipts {
			write(t, f, content(i, 40+i), WriteOptions{FinishBy: 200 * time.Millisecond, Receipt: &receipts[i]})
			w.run(20 * time.Millisecond)
		}
		f.Close()
		w.run(20 * time.Second)
		in := w.b.got[f.ID()]
		delivered, abandoned, lastAt := 0, 0, -1
		for i := range receipts {
			at := slices.IndexFunc(in.messages, func(m []byte) bool { return string(m) == string(content(i, 40+i)) })
			switch {
			case receipts[i].Delivered():
				delivered++
				if at < 0 {
					t.Errorf("message %d did not arrive", i)
				}
			case receipts[i].Abandoned():
				abandoned++
			default:
				t.Errorf("message %d is pending", i)
			}
			if at >= 0 && !asReceived {
				if at <= lastAt {
					t.Errorf("message %d out of order", i)
				}
				lastAt = at
			}
		}
		if delivered < 150 || abandoned < 5 {
			t.Errorf("%d delivered, %d abandoned", delivered, abandoned)
		}
		if in.ended != 1 || in.err != nil {
			t.Errorf("ended %d times with %v", in.ended, in.err)
		}
		w.rest()
	}
}

// TestAbandonTellsTheGap abandons a lost message while later ones, already delivered
// to the far end, wait behind it: the sender has nothing more to send and must say so
// (section 3.6.2.7.1).
func TestAbandonTellsTheGap(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	f := w.a.open("flow", SendOptions{})
	write(t, f, []byte("one"), WriteOptions{})
	w.run(100 * time.Millisecond)
	lose := true
	w.net.drop = func(e *end, _ int) bool { return e == w.a && lose }
	var lost Receipt
	write(t, f, []byte("two"), WriteOptions{Receipt: &lost})
	w.a.flush()
	lose = false
	write(t, f, []byte("three"), WriteOptions{})
	w.run(100 * time.Millisecond)
	in := w.b.got[f.ID()]
	sameMessages(t, in.messages, [][]byte{[]byte("one")})

	updates := 0
	w.a.trace = func(packet []byte, _ FillInfo) {
		typ, body, _, _ := wire.NextChunk(packet)
		c, err := wire.ParseUserData(body)
		if typ != wire.ChunkUserData || err != nil || !c.Abandon || c.FSNOffset != 0 || c.Seq != 2 || len(c.Data) != 0 {
			t.Errorf("sent %v %+v", typ, c)
		}
		updates++
		lose = updates == 1 // the update gets lost as well
	}
	lost.Abandon()
	lost.Abandon()
	w.run(5 * time.Second)
	sameMessages(t, in.messages, [][]byte{[]byte("one"), []byte("three")})
	if in.gaps != 1 || updates != 2 || !lost.Abandoned() || lost.Delivered() {
		t.Errorf("%d gaps, %d updates", in.gaps, updates)
	}
	w.a.trace = nil
	f.Close()
	w.rest()
}

func TestAbandonBeforeSending(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	f := w.a.open("flow", SendOptions{})
	for i := range 200 {
		write(t, f, content(i, 1000), WriteOptions{})
	}
	w.a.flush()
	f.Abandon()
	if f.Buffered() > 10_000 {
		t.Errorf("%d bytes buffered", f.Buffered())
	}
	write(t, f, []byte("end"), WriteOptions{})
	f.Close()
	w.run(time.Second)
	in := w.b.got[f.ID()]
	if n := len(in.messages); n < 2 || n > 8 || string(in.messages[n-1]) != "end" || in.gaps != 1 || in.ended != 1 {
		t.Errorf("%d messages, %d gaps, ended %d times", n, in.gaps, in.ended)
	}
	w.rest()
}

// TestCloseWithNothingSent begins and ends a flow by its final fragment alone.
func TestCloseWithNothingSent(t *testing.T) {
	for _, abandon := range []bool{false, true} {
		w := newWorld(t, network{delay: 10 * time.Millisecond})
		f := w.a.open("nothing", SendOptions{})
		if abandon {
			write(t, f, content(1, 5000), WriteOptions{})
			f.Close()
			f.Abandon()
		}
		f.Close()
		w.run(time.Second)
		in := w.b.got[f.ID()]
		if in == nil || len(in.messages) != 0 || in.ended != 1 || in.err != nil {
			t.Fatalf("received %+v", in)
		}
		w.rest()
	}
}

// TestReceiverDropsAbandonedFragments has messages of which only a part arrived.
func TestReceiverDropsAbandonedFragments(t *testing.T) {
	const whole, begin, tail, middle = wire.FragmentWhole, wire.FragmentBegin, wire.FragmentEnd, wire.FragmentMiddle
	type step struct {
		seq, forward uint64
		fra          wire.Fragment
		abandon      bool
		data         string
	}
	for name, test := range map[string]struct {
		steps []step
		want  []string
		gaps  int
	}{
		"end missing":       {[]step{{1, 0, begin, false, "a"}, {3, 2, whole, false, "b"}}, []string{"b"}, 1},
		"begin missing":     {[]step{{2, 0, middle, false, "a"}, {3, 0, tail, false, "b"}, {4, 1, whole, false, "c"}}, []string{"c"}, 1},
		"middle abandoned":  {[]step{{1, 0, begin, false, "a"}, {3, 0, tail, false, "b"}, {2, 0, middle, true, ""}, {4, 3, whole, false, "c"}}, []string{"c"}, 1},
		"in reverse":        {[]step{{3, 0, tail, false, "c"}, {2, 0, middle, false, "b"}, {1, 0, begin, false, "a"}}, []string{"abc"}, 0},
		"all by FSN":        {[]step{{1, 0, begin, false, "a"}, {5, 5, whole, true, ""}, {6, 5, whole, false, "b"}}, []string{"b"}, 1},
		"begin after begin": {[]step{{1, 0, begin, false, "a"}, {2, 0, begin, false, "b"}, {3, 0, tail, false, "c"}}, []string{"bc"}, 1},
		"whole in middle":   {[]step{{1, 0, begin, false, "a"}, {2, 0, whole, false, "b"}, {3, 0, tail, false, "c"}, {4, 0, whole, false, "d"}}, []string{"b", "d"}, 2},
		"late":              {[]step{{2, 1, whole, false, "b"}, {1, 0, whole, false, "a"}}, []string{"b"}, 1},
		"empty":             {[]step{{1, 0, whole, false, ""}, {2, 0, begin, false, ""}, {3, 0, tail, false, ""}}, []string{"", ""}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, network{})
			for _, s := range test.steps {
				c := wire.UserData{
					Flow: 9, Seq: s.seq, FSNOffset: s.seq - s.forward, Fragment: s.fra, Abandon: s.abandon, Data: []byte(s.data),
					HasOptions: true, Options: wire.AppendOption(nil, wire.OptionMetadata, nil),
				}
				receive(w.b.mux, c.Append(nil), PacketInfo{})
			}
			var got []string
			for _, m := range w.b.got[9].messages {
				got = append(got, string(m))
			}
			if !slices.Equal(got, test.want) || w.b.got[9].gaps != test.gaps {
				t.Errorf("delivered %q with %d gaps, want %q with %d", got, w.b.got[9].gaps, test.want, test.gaps)
			}
			if _, f := w.b.mux.findRecv(9); f.held.bytes != 0 {
				t.Errorf("%d bytes held", f.held.bytes)
			}
		})
	}
}
