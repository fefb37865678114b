package rtmfp

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

func TestTimelineKeepsTheLatest(t *testing.T) {
	for _, test := range []struct{ packets, kept, oldest int }{
		{0, 0, 0},
		{1, 1, 0},
		{TimelineRecords - 1, TimelineRecords - 1, 0},
		{TimelineRecords, TimelineRecords, 0},
		{TimelineRecords + 1, TimelineRecords, 1},
		{3*TimelineRecords + 5, TimelineRecords, 2*TimelineRecords + 5},
	} {
		var l Timeline
		for i := range test.packets {
			l.add(PacketRecord{Size: i})
		}
		list, total := l.Records()
		if len(list) != test.kept || total != uint64(test.packets) {
			t.Errorf("%d packets: %d kept, total %d", test.packets, len(list), total)
		}
		for i, r := range list {
			if r.Size != test.oldest+i {
				t.Fatalf("%d packets: place %d has packet %d", test.packets, i, r.Size)
			}
		}
	}
}

func TestPacketRecordNotesChunks(t *testing.T) {
	packet := func(types ...wire.ChunkType) (b []byte) {
		for _, c := range types {
			b = append(b, byte(c), 0, 1, 'x')
		}
		return b
	}
	many := []wire.ChunkType{}
	for range maxChunkRuns {
		many = append(many, wire.ChunkPing, wire.ChunkUserData)
	}
	for _, test := range []struct {
		name   string
		packet []byte
		want   string
		more   bool
	}{
		{"none", nil, "", false},
		{"padding", []byte{0xff, 0xff, 0xff, 0xff}, "", false},
		{"cut", []byte{0x10, 0, 9, 1}, "", false},
		{"one", packet(wire.ChunkPing), "Ping 1 ", false},
		{"runs", packet(wire.ChunkAckRanges, wire.ChunkUserData, wire.ChunkNextUserData, wire.ChunkNextUserData), "AckRanges 1 UserData 1 NextUserData 2 ", false},
		{"unknown", packet(0x33), "0x33 1 ", false},
		{"as many as fit", packet(many[:maxChunkRuns]...), "Ping 1 UserData 1 Ping 1 UserData 1 Ping 1 UserData 1 Ping 1 UserData 1 ", false},
		{"more", packet(many...), "Ping 1 UserData 1 Ping 1 UserData 1 Ping 1 UserData 1 Ping 1 UserData 1 ", true},
	} {
		var r PacketRecord
		r.note(test.packet)
		got := ""
		for _, c := range r.Chunks {
			if c.Count > 0 {
				got += fmt.Sprintf("%v %d ", c.Type, c.Count)
			}
		}
		if got != test.want || r.More != test.more {
			t.Errorf("%s: %q, more %v", test.name, got, r.More)
		}
	}
}

// watched is an engine with one session, which is watched, and a datagram for it.
func watched() (*Engine, *Session, Datagram) {
	e := &Engine{now: time.Unix(1_700_000_000, 0), sessions: make(map[wire.SessionID]*Session)}
	d := Datagram{Peer: netip.MustParseAddrPort("198.51.100.1:5000"), Data: make([]byte, 64)}
	d.Data[0] = 9
	s := &Session{engine: e, addr: d.Peer, id: wire.SessionID{9}}
	e.sessions[s.id] = s
	return e, s, d
}

func TestTapDoesNotAllocate(t *testing.T) {
	e, s, d := watched()
	l, err := e.Watch(s)
	if err != nil {
		t.Fatal(err)
	}
	chunks := []byte{byte(wire.ChunkPing), 0, 0, byte(wire.ChunkUserData), 0, 0}
	packet := append(wire.Header{Mode: wire.ModeInitiator}.Append(nil), chunks...)
	if n := testing.AllocsPerRun(1000, func() {
		e.tap.begin(e, d)
		e.tap.chunks(chunks)
		e.drop(DropReplay)
		e.tap.end()
		l.sending(e.now, d.Local, d.Peer, packet)
		e.tap.sending(e.now, d.Local, d.Peer, 100, wire.ChunkRedirect)
	}); n != 0 {
		t.Errorf("%v allocations for three packets", n)
	}
	list, _ := l.Records()
	if r := list[len(list)-3]; r.Fate != "replay" || r.Chunks[1] != (ChunkRun{wire.ChunkUserData, 1}) {
		t.Errorf("%+v", r)
	}
}

func TestWatchIsBounded(t *testing.T) {
	e, s, _ := watched()
	var all []*Timeline
	for range maxTimelines {
		l, err := e.Watch(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	if _, err := e.Watch(s); err != ErrTimelines {
		t.Errorf("one more: %v", err)
	}
	for _, l := range slices.Backward(all) {
		e.Unwatch(l)
		e.Unwatch(l) // twice does no harm
	}
	if e.tap != nil || s.timeline != nil {
		t.Error("a tap is left with nobody to watch")
	}
	l, _ := e.Watch(s)
	again := &Session{engine: e, addr: s.addr}
	l.Follow(again)
	if s.timeline != nil || again.timeline != l {
		t.Error("the timeline does not follow")
	}
}

// What a packet costs that is dropped at once, unwatched and watched.
func BenchmarkTap(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(map[bool]string{false: "off", true: "on"}[on], func(b *testing.B) {
			e, s, d := watched()
			if on {
				if _, err := e.Watch(s); err != nil {
					b.Fatal(err)
				}
			}
			d.Data[0]++ // nobody's
			for b.Loop() {
				e.Receive(e.now, d)
			}
		})
	}
}
