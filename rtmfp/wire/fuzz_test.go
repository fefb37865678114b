package wire_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

// The properties: no parser panics, none writes to its input, and parse → append
// → parse is a fixed point in value and bytes.

// seedBytes adds seeds; a fuzz target without any has stopped testing anything.
func seedBytes(f *testing.F, seeds [][]byte) {
	f.Helper()
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
}

// recordedPackets returns one recorded packet for each set of chunk types.
func recordedPackets(f *testing.F) (packets [][]byte) {
	f.Helper()
	seen := make(map[string]bool)
	for _, e := range vectors.Exchanges(f) {
		for i := range e.Datagrams {
			d := &e.Datagrams[i]
			kind := d.Packet.Flags.String()
			for _, c := range d.Packet.Chunks {
				kind += c.Type.String() + c.UFlags.String()
			}
			if !seen[kind] {
				seen[kind] = true
				packets = append(packets, d.PacketBytes())
			}
		}
	}
	return packets
}

func FuzzPacket(f *testing.F) {
	seedBytes(f, recordedPackets(f))
	f.Fuzz(func(t *testing.T, packet []byte) {
		before := bytes.Clone(packet)
		h, rest, err := wire.ParseHeader(packet)
		if err != nil {
			return
		}
		again := h.Append(nil)
		if h2, tail, err := wire.ParseHeader(again); h2 != h || len(tail) != 0 || err != nil {
			t.Fatalf("header %+v: %+v, %x, %v", h, h2, tail, err)
		}
		for {
			typ, body, next, ok := wire.NextChunk(rest)
			if !ok {
				break
			}
			if wire.ChunkHeaderLen+len(body)+len(next) != len(rest) {
				t.Fatalf("%d bytes became %d and %d", len(rest), len(body), len(next))
			}
			checkFixedPoint(t, typ, body)
			rest = next
		}
		checkBytes(t, "the input", packet, before)
	})
}

func FuzzChunk(f *testing.F) {
	n := 0
	for _, packet := range recordedPackets(f) {
		_, rest, err := wire.ParseHeader(packet)
		if err != nil {
			f.Fatal(err)
		}
		for typ, body, next, ok := wire.NextChunk(rest); ok; typ, body, next, ok = wire.NextChunk(next) {
			f.Add(byte(typ), body)
			n++
		}
	}
	for _, s := range samples {
		typ, body := onlyChunk(f, unhex(f, s.hex))
		f.Add(byte(typ), body)
	}
	if n == 0 || len(samples) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, typ byte, body []byte) {
		if len(body) <= 65535 {
			checkFixedPoint(t, wire.ChunkType(typ), body)
		}
	})
}

func checkFixedPoint(t *testing.T, typ wire.ChunkType, body []byte) {
	t.Helper()
	c, err := parseChunk(typ, body)
	if err != nil {
		return
	}
	once := c.Append(nil)
	typ2, body2 := onlyChunk(t, once)
	if typ2 != typ || len(body2) > len(body) {
		t.Fatalf("%v of %d bytes became %v of %d", typ, len(body), typ2, len(body2))
	}
	c2, err := parseChunk(typ2, body2)
	if err != nil {
		t.Fatalf("%v: %x parsed, its encoding %x does not: %v", typ, body, body2, err)
	}
	checkBytes(t, "encoded twice", c2.Append(nil), once)
	if _, ok := c.(bare); !ok && !cmp.Equal(c, c2, chunkOptions) {
		t.Fatalf("%v: %s", typ, cmp.Diff(c, c2, chunkOptions))
	}
	checkLists(t, c)
}

// checkLists checks what hangs off a parsed chunk.
func checkLists(t *testing.T, c chunk) {
	t.Helper()
	switch c := c.(type) {
	case wire.UserData:
		if c.ForwardSeq() > c.Seq {
			t.Fatalf("%+v: forward sequence number %d", c, c.ForwardSeq())
		}
		checkOptionList(t, c.Options)
	case wire.NextUserData:
		checkOptionList(t, c.Options)
	case wire.Redirect:
		var list []byte
		for a := range c.Addresses() {
			list = a.Append(list)
		}
		again := slices.Collect(wire.Redirect{AddressList: list}.Addresses())
		if !slices.Equal(again, slices.Collect(c.Addresses())) {
			t.Fatalf("addresses %v", again)
		}
	case wire.AckRanges:
		ranges := slices.Collect(c.All())
		checkRanges(t, c.CumAck, ranges, len(c.Ranges)/2)
		b := wire.AppendAckRanges(nil, c.Flow, c.BufferBlocks, c.CumAck, ranges, 1<<17)
		if got := ackedIn(b); !slices.Equal(got, ranges) {
			t.Fatalf("%v, want %v", got, ranges)
		}
	case wire.AckBitmap:
		ranges := slices.Collect(c.All())
		checkRanges(t, c.CumAck, ranges, len(c.Bitmap)*4)
		b := wire.AppendAckBitmap(nil, c.Flow, c.BufferBlocks, c.CumAck, ranges, 1<<17)
		if got := ackedIn(b); !slices.Equal(got, ranges) {
			t.Fatalf("%v, want %v", got, ranges)
		}
	}
}

func checkRanges(t *testing.T, cumAck uint64, ranges []wire.AckRange, most int) {
	t.Helper()
	if len(ranges) > most {
		t.Fatalf("%d ranges, at most %d are encoded", len(ranges), most)
	}
	cursor := cumAck
	for _, r := range ranges {
		if r.From < cursor || r.From-cursor < 2 || r.To < r.From {
			t.Fatalf("range %v behind %d", r, cursor)
		}
		cursor = r.To
	}
}

func checkOptionList(t *testing.T, list []byte) {
	t.Helper()
	var again []byte
	for o := range wire.Options(list) {
		again = wire.AppendOption(again, o.Type, o.Value)
	}
	parsed, rest, err := wire.ParseOptionList(wire.AppendMarker(again))
	if err != nil || len(rest) != 0 || !bytes.Equal(parsed, again) {
		t.Fatalf("options %x became %x: %v", list, again, err)
	}
}

func FuzzOption(f *testing.F) {
	var seeds [][]byte
	for _, row := range vectors.Primitives(f).OptionParse {
		seeds = append(seeds, row.Hex)
	}
	seedBytes(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, rest, err := wire.ParseOption(b); err == nil {
			enc := wire.AppendOption(nil, o.Type, o.Value)
			if o.Marker {
				enc = wire.AppendMarker(nil)
			} else if len(enc) != wire.OptionLen(o.Type, len(o.Value)) {
				t.Fatalf("OptionLen %d, want %d", wire.OptionLen(o.Type, len(o.Value)), len(enc))
			}
			if len(enc) > len(b)-len(rest) {
				t.Fatalf("%x grew to %x", b, enc)
			}
			o2, rest2, err := wire.ParseOption(enc)
			if o2.Marker != o.Marker || o2.Type != o.Type || !bytes.Equal(o2.Value, o.Value) || len(rest2) != 0 || err != nil {
				t.Fatalf("%+v became %+v, %x, %v", o, o2, rest2, err)
			}
		}
		if list, rest, err := wire.ParseOptionList(b); err == nil {
			if len(list)+len(rest) >= len(b) {
				t.Fatalf("%d bytes became %d and %d and a Marker", len(b), len(list), len(rest))
			}
			checkOptionList(t, list)
		}
		for o := range wire.Options(b) {
			if o.Marker {
				t.Fatal("Options yields a Marker")
			}
		}
	})
}

func FuzzVLU(f *testing.F) {
	var seeds [][]byte
	for _, row := range vectors.Primitives(f).VLUParse {
		seeds = append(seeds, row.Hex)
	}
	seedBytes(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := wire.ParseVLU(b)
		if err != nil {
			if i := slices.IndexFunc(b, func(c byte) bool { return c < 0x80 }); i >= 0 {
				t.Fatalf("%x ends at byte %d: %v", b, i, err)
			}
			return
		}
		enc := wire.AppendVLU(nil, v)
		if len(enc) != wire.VLULen(v) || len(enc) > len(b)-len(rest) {
			t.Fatalf("%x grew to %x, VLULen %d", b, enc, wire.VLULen(v))
		}
		if v2, rest2, err := wire.ParseVLU(enc); v2 != v || len(rest2) != 0 || err != nil {
			t.Fatalf("%d became %d, %x, %v", v, v2, rest2, err)
		}
	})
}

func FuzzAddress(f *testing.F) {
	var seeds [][]byte
	for _, row := range vectors.Primitives(f).AddressParse {
		seeds = append(seeds, row.Hex)
	}
	seedBytes(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, rest, err := wire.ParseAddress(b)
		if err != nil {
			return
		}
		enc := a.Append(nil)
		if len(enc) != a.Len() || len(enc) > len(b)-len(rest) || !a.AddrPort.IsValid() || a.AddrPort.Addr().Is4In6() {
			t.Fatalf("%x became %v, %x", b, a, enc)
		}
		if a2, rest2, err := wire.ParseAddress(enc); a2 != a || len(rest2) != 0 || err != nil {
			t.Fatalf("%v became %v, %x, %v", a, a2, rest2, err)
		}
	})
}

func FuzzAddressText(f *testing.F) {
	rows := vectors.Primitives(f).AddressPresentationParse
	if len(rows) == 0 {
		f.Fatal("no seeds")
	}
	for _, row := range rows {
		f.Add(row.Text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ap, err := wire.ParseAddressText(s)
		if err != nil {
			return
		}
		if !ap.IsValid() || ap.Addr().Zone() != "" || ap.Addr().Is4In6() {
			t.Fatalf("%q became %v", s, ap)
		}
		if ap2, err := wire.ParseAddressText(ap.String()); ap2 != ap || err != nil {
			t.Fatalf("%v became %v, %v", ap, ap2, err)
		}
	})
}

func FuzzUnscramble(f *testing.F) {
	var seeds [][]byte
	for _, row := range vectors.Primitives(f).DefaultKeyPackets {
		seeds = append(seeds, row.Datagram)
	}
	seedBytes(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		before, b := b, bytes.Clone(b)
		id, ok := wire.Unscramble(b)
		if ok != (len(b) >= 12) {
			t.Fatalf("%d bytes: %v", len(b), ok)
		}
		if ok {
			id.Scramble(b)
		}
		checkBytes(t, "scrambled again", b, before)
	})
}
