package flow

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

func option(typ uint64, value string) []byte { return wire.AppendOption(nil, typ, []byte(value)) }

// userData is a chunk of flow 9 that begins it.
func userData(seq uint64, options []byte, data string) wire.UserData {
	return wire.UserData{
		Flow: 9, Seq: seq, FSNOffset: seq, HasOptions: options != nil, Options: options, Data: []byte(data),
	}
}

func TestStartupOptions(t *testing.T) {
	metadata := option(wire.OptionMetadata, "m")
	for name, test := range map[string]struct {
		options []byte
		ok      bool
	}{
		"metadata":                {metadata, true},
		"empty metadata":          {option(wire.OptionMetadata, ""), true},
		"none":                    {nil, false},
		"no metadata":             {option(0x2000, "x"), false},
		"unknown, ignorable":      {slices.Concat(metadata, option(0x2000, "x")), true},
		"unknown, not ignorable":  {slices.Concat(metadata, option(0x1fff, "x")), false},
		"metadata too long":       {option(wire.OptionMetadata, string(make([]byte, maxFarMetadata+1))), false},
		"metadata over 512":       {option(wire.OptionMetadata, string(make([]byte, maxFarMetadata))), true},
		"association":             {slices.Concat(metadata, option(wire.OptionReturnAssociation, "\x02")), true},
		"association, first":      {slices.Concat(option(wire.OptionReturnAssociation, "\x02"), metadata), true},
		"association, closing":    {slices.Concat(metadata, option(wire.OptionReturnAssociation, "\x03")), false},
		"association, none such":  {slices.Concat(metadata, option(wire.OptionReturnAssociation, "\x04")), false},
		"association, empty":      {slices.Concat(metadata, option(wire.OptionReturnAssociation, "")), false},
		"association, two":        {slices.Concat(metadata, option(wire.OptionReturnAssociation, "\x02"), option(wire.OptionReturnAssociation, "\x02")), false},
		"association, unfinished": {slices.Concat(metadata, option(wire.OptionReturnAssociation, "\x82")), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, network{})
			w.b.open("open", SendOptions{})
			w.b.open("closing", SendOptions{}).Close()
			receive(w.b.mux, userData(1, test.options, "hello").Append(nil), PacketInfo{})
			in := w.b.got[9]
			if (in != nil) != test.ok {
				t.Fatalf("offered: %v", in != nil)
			}
			packet, _ := w.b.mux.Fill(nil, testLimit)
			types := chunksOf(packet)
			if exception := slices.Contains(types, wire.ChunkFlowException); exception == test.ok {
				t.Errorf("answered %v", types)
			}
			if !slices.Contains(types, wire.ChunkAckRanges) {
				t.Errorf("answered %v: not acknowledged", types)
			}
		})
	}
}

func TestUnknownOptionLater(t *testing.T) {
	w := newWorld(t, network{})
	receive(w.b.mux, userData(1, option(wire.OptionMetadata, "m"), "one").Append(nil), PacketInfo{})
	receive(w.b.mux, userData(2, option(0x2001, "ignored"), "two").Append(nil), PacketInfo{})
	receive(w.b.mux, userData(3, option(5, "not ignored"), "three").Append(nil), PacketInfo{})
	in := w.b.got[9]
	if len(in.messages) != 2 || in.ended != 1 || !errors.Is(in.err, ErrFarOption) {
		t.Errorf("%d messages, ended %d times with %v", len(in.messages), in.ended, in.err)
	}
}

// TestExceptionIsRepeated until the sender ends the flow, before each acknowledgement
// (section 2.3.16).
func TestExceptionIsRepeated(t *testing.T) {
	w := newWorld(t, network{})
	w.b.incoming = func(*RecvFlow) (Accept, error) { return Accept{}, &Exception{Code: 300} }
	metadata := option(wire.OptionMetadata, "m")
	answer := func(c wire.UserData) []byte {
		receive(w.b.mux, c.Append(nil), PacketInfo{ECN: 2})
		packet, _ := w.b.mux.Fill(nil, testLimit)
		return packet
	}
	for seq := uint64(1); seq < 4; seq++ {
		want := wire.ECNReport{}.Append(nil)
		want = wire.FlowException{Flow: 9, Code: 300}.Append(want)
		want = wire.AppendAckRanges(want, 9, 64, seq, nil, testLimit)
		if got := answer(userData(seq, metadata, "x")); !bytes.Equal(got, want) {
			t.Errorf("answered %x, want %x", got, want)
		}
	}
	end := userData(4, nil, "")
	end.Abandon, end.Final = true, true
	want := wire.AppendAckRanges(wire.ECNReport{}.Append(nil), 9, 64, 4, nil, testLimit)
	for range 2 {
		if got := answer(end); !bytes.Equal(got, want) {
			t.Errorf("answered %x, want %x", got, want)
		}
	}
	w.rest()
}

func TestDrops(t *testing.T) {
	next := wire.NextUserData{Data: []byte("x")}.Append(nil)
	metadata := option(wire.OptionMetadata, "m")
	final := userData(5, metadata, "x")
	final.Final = true
	for reason, packet := range map[DropReason][]byte{
		DropMalformed:   {byte(wire.ChunkUserData), 0, 1, 0},
		DropOrphan:      next,
		DropUnknownFlow: wire.BufferProbe{Flow: 3}.Append(nil),
		DropDuplicate:   userData(2, metadata, "x").Append(userData(2, metadata, "x").Append(nil)),
		DropBeyondFinal: userData(6, metadata, "x").Append(final.Append(nil)),
	} {
		w := newWorld(t, network{})
		receive(w.b.mux, packet, PacketInfo{})
		for r, n := range w.b.mux.Stats().Dropped {
			if want := DropReason(r) == reason; (n == 1) != want {
				t.Errorf("%v: %d dropped as %v", reason, n, DropReason(r))
			}
		}
	}
	for name, packet := range map[string][]byte{
		"ranges":     {byte(wire.ChunkAckRanges), 0, 1, 2},
		"bitmap":     {byte(wire.ChunkAckBitmap), 0, 1, 2},
		"exception":  {byte(wire.ChunkFlowException), 0, 1, 2},
		"probe":      {byte(wire.ChunkBufferProbe), 0, 0},
		"report":     {byte(wire.ChunkECNReport), 0, 0},
		"next":       append(userData(1, metadata, "x").Append(nil), byte(wire.ChunkNextUserData), 0, 0),
		"sequence":   userData(maxSeq, metadata, "x").Append(nil),
		"next's end": append(userData(maxSeq-1, metadata, "x").Append(nil), next...),
	} {
		w := newWorld(t, network{})
		w.b.open("flow", SendOptions{})
		receive(w.b.mux, packet, PacketInfo{})
		if n := w.b.mux.Stats().Dropped[DropMalformed]; n != 1 {
			t.Errorf("%s: %d dropped as malformed", name, n)
		}
	}
	if handled := newWorld(t, network{}).a.mux.ReceiveChunk(wire.ChunkPing, nil); handled {
		t.Error("took a ping")
	}
	if DropGaps.String() != "gaps" || DropReason(200).String() != "unknown" {
		t.Error("wrong names")
	}
}

// TestLingerOnHold keeps a completed flow until its messages have been delivered.
func TestLingerOnHold(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	var far *RecvFlow
	w.b.incoming = func(f *RecvFlow) (Accept, error) {
		far = f
		f.SetHold(true)
		return Accept{Receiver: w.b.box(f)}, nil
	}
	f := w.a.open("flow", SendOptions{})
	write(t, f, []byte("x"), WriteOptions{})
	f.Close()
	w.run(5 * time.Minute)
	in := w.b.got[f.ID()]
	if len(in.messages) != 0 || in.ended != 0 {
		t.Fatalf("%d messages, ended %d times on hold", len(in.messages), in.ended)
	}
	far.SetHold(false)
	if len(in.messages) != 1 || in.ended != 1 || in.err != nil {
		t.Errorf("%d messages, ended %d times with %v", len(in.messages), in.ended, in.err)
	}
	w.rest()
}

// TestLinger keeps both ends of a completed flow for as long as the RFC wants, so that
// what is late in the network opens nothing.
func TestLinger(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond})
	f := w.a.open("flow", SendOptions{})
	var first []byte
	w.a.trace = func(packet []byte, _ FillInfo) { first = packet }
	write(t, f, []byte("x"), WriteOptions{})
	f.Close()
	w.run(119 * time.Second)
	receive(w.b.mux, first, PacketInfo{})
	w.b.flush()
	if in := w.b.got[f.ID()]; len(in.messages) != 1 || len(w.b.mux.recv) != 1 {
		t.Errorf("%d messages, %d flows", len(in.messages), len(w.b.mux.recv))
	}
	w.run(5 * time.Second)
	if len(w.b.mux.recv) != 0 || len(w.a.mux.send) != 1 {
		t.Errorf("%d receiving, %d sending flows after 124 s", len(w.b.mux.recv), len(w.a.mux.send))
	}
	w.run(8 * time.Second)
	if len(w.a.mux.send) != 0 {
		t.Errorf("%d sending flows after 132 s", len(w.a.mux.send))
	}
}
