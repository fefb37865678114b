package rtmfp

import (
	"bytes"
	"math"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pileus/rtmfp/wire"
)

var (
	defragStart = time.Unix(1_000_000, 0)
	defragPeer  = netip.MustParseAddrPort("192.0.2.1:1935")
)

func defragID(packet uint64) defragKey { return defragKey{peer: defragPeer, packet: packet} }

// startupPacket returns a packet of n bytes in mode 3.
func startupPacket(n int) []byte {
	b := wire.Header{Mode: wire.ModeStartup}.Append(nil)
	for len(b) < n {
		b = append(b, byte(len(b)*7))
	}
	return b
}

// fragment cuts packet into pieces of size bytes.
func fragment(packet []byte, id uint64, size int) (all []wire.PacketFragment) {
	for len(packet) > 0 {
		n := min(size, len(packet))
		all = append(all, wire.PacketFragment{
			More: n < len(packet), PacketID: id, Fragment: uint64(len(all)), Data: packet[:n],
		})
		packet = packet[n:]
	}
	return all
}

func (d *defragmenter) check(t interface {
	Helper()
	Fatalf(string, ...any)
},
) {
	t.Helper()
	bytes := 0
	var before time.Time
	for e := d.stalest.Front(); e != nil; e = e.Next() {
		p := e.Value.(*partialPacket)
		bytes += cap(p.buf)
		if d.packets[p.key] != e || p.progress.Before(before) || len(p.buf) > defragMaxPacket || p.complete() {
			t.Fatalf("broken entry %+v", p.key)
		}
		before = p.progress
	}
	if d.stalest.Len() != len(d.packets) || d.bytes != bytes ||
		len(d.packets) > defragMaxPackets || d.bytes > defragMaxBytes {
		t.Fatalf("%d packets, %d listed, %d bytes counted, %d held", len(d.packets), d.stalest.Len(), d.bytes, bytes)
	}
	if d.deadline().IsZero() != (len(d.packets) == 0) {
		t.Fatalf("deadline %v with %d packets", d.deadline(), len(d.packets))
	}
}

func TestDefragWhole(t *testing.T) {
	var d defragmenter
	want := startupPacket(100)
	got, err := d.add(defragStart, defragID(1), wire.ModeStartup, fragment(want, 1, 100)[0])
	if !bytes.Equal(got, want) || err != nil || len(d.packets) != 0 {
		t.Errorf("%x, %v; %d packets held", got, err, len(d.packets))
	}
}

// Packets come out whole, once, whatever the order, repetition and interleaving of
// their fragments.
func TestDefragAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d defragmenter
		type arrival struct {
			id uint64
			f  wire.PacketFragment
		}
		packets := make(map[uint64][]byte)
		var arrivals []arrival
		for id := range uint64(rapid.IntRange(1, 5).Draw(t, "packets")) {
			packets[id] = startupPacket(rapid.IntRange(1, 3000).Draw(t, "length"))
			size := rapid.IntRange(1+len(packets[id])/defragMaxFragments, 1200).Draw(t, "size")
			for _, f := range fragment(packets[id], id, size) {
				arrivals = append(arrivals, arrival{id, f})
			}
		}
		arrivals = rapid.Permutation(arrivals).Draw(t, "order")
		now := defragStart
		for _, a := range arrivals {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "ms")) * time.Millisecond)
			got, err := d.add(now, defragID(a.id), wire.ModeStartup, a.f)
			if err != nil {
				t.Fatalf("fragment %d of %d: %v", a.f.Fragment, a.id, err)
			}
			d.check(t)
			if got != nil {
				if !bytes.Equal(got, packets[a.id]) {
					t.Fatalf("packet %d: %x, want %x", a.id, got, packets[a.id])
				}
				delete(packets, a.id)
			} else if _, err := d.add(now, defragID(a.id), wire.ModeStartup, a.f); err != errFragmentDuplicate {
				t.Fatalf("the same again: %v", err)
			}
		}
		if len(packets) != 0 || len(d.packets) != 0 || d.bytes != 0 {
			t.Fatalf("%d packets missing, %d held", len(packets), len(d.packets))
		}
	})
}

// What fragments are told apart by.
func TestDefragKeys(t *testing.T) {
	var d defragmenter
	fragments := fragment(startupPacket(100), 1, 50)
	other := netip.MustParseAddrPort("192.0.2.1:1936")
	for _, key := range []defragKey{
		{peer: other, packet: 1},
		{peer: defragPeer, local: other, packet: 1},
		{peer: defragPeer, session: wire.SessionID{3}, packet: 1},
		{peer: defragPeer, packet: 2},
	} {
		if got, err := d.add(defragStart, key, wire.ModeStartup, fragments[0]); got != nil || err != nil {
			t.Errorf("%+v: %x, %v", key, got, err)
		}
	}
	if got, err := d.add(defragStart, defragID(1), wire.ModeStartup, fragments[1]); got != nil || err != nil {
		t.Errorf("%x, %v", got, err)
	}
	if len(d.packets) != 5 {
		t.Errorf("%d packets, want 5", len(d.packets))
	}
}

func TestDefragRefuses(t *testing.T) {
	packet := startupPacket(300)
	f := fragment(packet, 1, 100)
	more := func(f wire.PacketFragment) wire.PacketFragment { f.More = true; return f }
	final := func(f wire.PacketFragment) wire.PacketFragment { f.More = false; return f }
	at := func(i uint64, f wire.PacketFragment) wire.PacketFragment { f.Fragment = i; return f }
	big := wire.PacketFragment{More: true, Data: make([]byte, defragMaxPacket/2+1)}

	for _, tc := range []struct {
		name  string
		first []wire.PacketFragment
		then  wire.PacketFragment
		mode  wire.Mode
		want  error
		held  int
	}{
		{"index beyond the limit", nil, at(defragMaxFragments, more(f[0])), wire.ModeStartup, errFragmentIndex, 0},
		{"index beyond anything", nil, at(math.MaxUint64, f[2]), wire.ModeStartup, errFragmentIndex, 0},
		{"highest index", nil, at(defragMaxFragments-1, f[2]), wire.ModeStartup, nil, 1},
		{"duplicate", f[:1], f[0], wire.ModeStartup, errFragmentDuplicate, 1},
		{"behind the final one", f[2:], at(3, f[1]), wire.ModeStartup, errFragmentIndex, 1},
		{"second final one", f[2:], at(1, final(f[1])), wire.ModeStartup, errFragmentIndex, 1},
		{"final before another", f[1:2], final(f[0]), wire.ModeStartup, errFragmentIndex, 1},
		{"another mode", f[:1], f[1], wire.ModeInitiator, errFragmentMode, 1},
		{"packet of another mode than its packets", nil, final(f[0]), wire.ModeResponder, errFragmentMode, 0},
		{"packet without a header", nil, wire.PacketFragment{Data: []byte{0}}, wire.ModeStartup, wire.ErrMode, 0},
		{"too large", []wire.PacketFragment{big}, at(1, big), wire.ModeStartup, errFragmentTooLarge, 0},
		{
			"too large at once", nil,
			wire.PacketFragment{More: true, Data: make([]byte, defragMaxPacket+1)},
			wire.ModeStartup, errFragmentTooLarge, 0,
		},
	} {
		var d defragmenter
		for _, f := range tc.first {
			if got, err := d.add(defragStart, defragID(1), wire.ModeStartup, f); got != nil || err != nil {
				t.Fatalf("%s: %x, %v", tc.name, got, err)
			}
		}
		got, err := d.add(defragStart, defragID(1), tc.mode, tc.then)
		if got != nil || err != tc.want || len(d.packets) != tc.held {
			t.Errorf("%s: %x, %v, %d held; want %v, %d held", tc.name, got, err, len(d.packets), tc.want, tc.held)
		}
		d.check(t)
	}

	// A reassembled packet of another mode is dropped, and forgotten.
	var d defragmenter
	for i, piece := range f {
		got, err := d.add(defragStart, defragID(1), wire.ModeInitiator, piece)
		if last := i == len(f)-1; got != nil || last && err != errFragmentMode || !last && err != nil {
			t.Errorf("fragment %d: %x, %v", i, got, err)
		}
	}
	if len(d.packets) != 0 {
		t.Error("the packet is still held")
	}

	// A refused fragment spoils nothing.
	for _, piece := range []wire.PacketFragment{f[2], at(3, f[1]), at(1, final(f[1])), f[0]} {
		_, _ = d.add(defragStart, defragID(1), wire.ModeStartup, piece)
	}
	if got, err := d.add(defragStart, defragID(1), wire.ModeStartup, f[1]); !bytes.Equal(got, packet) || err != nil {
		t.Errorf("%x, %v", got, err)
	}
}

func TestDefragTimes(t *testing.T) {
	f := fragment(startupPacket(6400), 1, 100)

	// Just within a second from fragment to fragment, up to a minute in all.
	var d defragmenter
	now := defragStart
	for i, piece := range f {
		got, err := d.add(now, defragID(1), wire.ModeStartup, piece)
		age := now.Sub(defragStart)
		if age <= defragMaxAge && (got != nil || err != nil) {
			t.Fatalf("fragment %d after %v: %v", i, age, err)
		}
		if age > defragMaxAge {
			if err != errFragmentTooOld || len(d.packets) != 0 {
				t.Errorf("after %v: %x, %v", age, got, err)
			}
			break
		}
		now = now.Add(defragMaxStall - time.Millisecond)
	}
	if now.Sub(defragStart) <= defragMaxAge {
		t.Fatal("the packet never grew old")
	}

	// A second without progress. A duplicate is none.
	d = defragmenter{}
	now = defragStart
	_, _ = d.add(now, defragID(1), wire.ModeStartup, f[0])
	if want := now.Add(defragMaxStall); d.deadline() != want {
		t.Errorf("deadline %v, want %v", d.deadline(), want)
	}
	now = now.Add(defragMaxStall - 1)
	_, _ = d.add(now, defragID(1), wire.ModeStartup, f[0])
	d.expire(now)
	if len(d.packets) != 1 || d.expired != 0 {
		t.Error("forgotten too early")
	}
	d.expire(now.Add(1))
	if len(d.packets) != 0 || d.bytes != 0 || d.expired != 1 || !d.deadline().IsZero() {
		t.Errorf("%d packets, %d bytes held, %d expired", len(d.packets), d.bytes, d.expired)
	}
}

// A full table gives way from its stalest end; a packet that progresses completes.
func TestDefragFlood(t *testing.T) {
	for name, size := range map[string]int{"many": 1, "large": defragMaxPacket / 2} {
		t.Run(name, func(t *testing.T) {
			var d defragmenter
			honest := fragment(startupPacket(3000), 0, 1000)
			junk := wire.PacketFragment{More: true, Data: make([]byte, size)}
			now := defragStart
			for i, piece := range honest {
				got, err := d.add(now, defragID(0), wire.ModeStartup, piece)
				if err != nil || (got != nil) != (i == 2) {
					t.Fatalf("honest fragment %d: %d bytes, %v", i, len(got), err)
				}
				for j := range 50 {
					now = now.Add(time.Microsecond)
					if _, err := d.add(now, defragID(uint64(1+50*i+j)), wire.ModeStartup, junk); err != nil {
						t.Fatal(err)
					}
					d.check(t)
				}
			}
			for j := range uint64(1000) {
				_, _ = d.add(now, defragID(1000+j), wire.ModeStartup, junk)
			}
			d.check(t)
			if d.evicted == 0 {
				t.Error("nothing gave way")
			}
		})
	}
}

// Whatever comes, the limits and the bookkeeping hold and nothing panics.
func FuzzDefragmenter(f *testing.F) {
	f.Add([]byte{0x90, 0, 30, 0x10, 1, 20})                        // whole, in order
	f.Add([]byte{0x10, 2, 9, 0x90, 0, 9, 0x90, 1, 9})              // final one first
	f.Add([]byte{0x81, 0, 200, 0x81, 1, 220, 0x8d, 1, 1, 1, 9, 1}) // too large, stalled
	data := startupPacket(defragMaxPacket + 1)
	f.Fuzz(func(t *testing.T, script []byte) {
		var d defragmenter
		now := defragStart
		for ; len(script) >= 3; script = script[3:] {
			now = now.Add(time.Duration(script[0]&0x0c) * 40 * time.Millisecond)
			fragment := wire.PacketFragment{
				More:     script[0]&0x80 != 0,
				Fragment: uint64(script[1]) % (defragMaxFragments + 2),
				Data:     data[:1+int(script[2])*int(script[2])/3],
			}
			mode := wire.Mode(1 + script[0]>>4&1*2)
			packet, err := d.add(now, defragID(uint64(script[0]&3)), mode, fragment)
			if packet != nil && (err != nil || len(packet) > 1<<16) {
				t.Fatalf("%d bytes and %v", len(packet), err)
			}
			d.check(t)
		}
	})
}

func TestDefragLimits(t *testing.T) {
	// Offsets into a packet's buffer are uint16, its fragments bits of a uint64.
	if defragMaxPacket > math.MaxUint16 || defragMaxFragments > 64 || defragMaxPacket*2 > defragMaxBytes {
		t.Error("the limits do not fit the types")
	}
}
