package wire_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pileus/rtmfp/wire"
)

const max64 = math.MaxUint64

// All never counts through what a peer claims: it yields at most one range per
// encoded pair, and ends where sequence numbers do.
func TestAckRangesHuge(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cumAck uint64
		pairs  []uint64
		want   []wire.AckRange
	}{
		{"none", 7, nil, nil},
		{"half a pair", 7, []uint64{3}, nil},
		{"adjacent runs", 7, []uint64{0, 0, 0, 0}, []wire.AckRange{{9, 9}, {11, 11}}},
		{"huge run", 0, []uint64{0, 1 << 62}, []wire.AckRange{{2, 2 + 1<<62}}},
		{"huge gap", 0, []uint64{1 << 62, 5}, []wire.AckRange{{2 + 1<<62, 7 + 1<<62}}},
		{"run beyond 2^64", 7, []uint64{0, max64, 0, 0}, []wire.AckRange{{9, max64}}},
		{"gap beyond 2^64", 7, []uint64{max64, 0, 0, 0}, nil},
		{"gap just within", 7, []uint64{max64 - 9, 0, 0, 0}, []wire.AckRange{{max64, max64}}},
		{"gap just beyond", 7, []uint64{max64 - 8, 0}, nil},
		{"all acknowledged", max64, []uint64{0, 0}, nil},
		{"one left", max64 - 1, []uint64{0, 0}, nil},
		{"two left", max64 - 2, []uint64{0, 0}, []wire.AckRange{{max64, max64}}},
	} {
		var list []byte
		for _, v := range tc.pairs {
			list = wire.AppendVLU(list, v)
		}
		c := wire.AckRanges{CumAck: tc.cumAck, Ranges: list}
		if got := slices.Collect(c.All()); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestAckBitmapRanges(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cumAck uint64
		bitmap string
		want   []wire.AckRange
	}{
		{"none", 7, "", nil},
		{"zeros", 7, "0000", nil},
		{"first", 7, "01", []wire.AckRange{{9, 9}}},
		{"last", 7, "0080", []wire.AckRange{{24, 24}}},
		{"across bytes", 7, "80ff01", []wire.AckRange{{16, 25}}},
		{"to the end", 7, "f0ff", []wire.AckRange{{13, 24}}},
		{"alternating", 7, "55", []wire.AckRange{{9, 9}, {11, 11}, {13, 13}, {15, 15}}},
		{"beyond 2^64", max64 - 4, "ffff", []wire.AckRange{{max64 - 2, max64}}},
		{"hole up to 2^64", max64 - 4, "f8", nil},
		{"last number", max64 - 4, "04", []wire.AckRange{{max64, max64}}},
		{"one left", max64 - 1, "ff", nil},
		{"two left", max64 - 2, "ff", []wire.AckRange{{max64, max64}}},
		{"all acknowledged", max64, "ff", nil},
	} {
		c := wire.AckBitmap{CumAck: tc.cumAck, Bitmap: unhex(t, tc.bitmap)}
		if got := slices.Collect(c.All()); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestAckIteratorsStop(*testing.T) {
	for range (wire.AckRanges{Ranges: []byte{0, 0, 0, 0}}).All() {
		break
	}
	for range (wire.AckBitmap{Bitmap: []byte{0x55}}).All() {
		break
	}
	for range (wire.Redirect{AddressList: make([]byte, 14)}).Addresses() {
		break
	}
	for range wire.Options([]byte{1, 0, 1, 0}) {
		break
	}
}

func TestAppendAckLimits(t *testing.T) {
	ranges := []wire.AckRange{{18, 18}, {21, 24}, {1 << 40, 1 << 50}}
	for _, tc := range []struct {
		name  string
		limit int
		want  string
		f     func(b []byte, flow, blocks, cumAck uint64, ranges []wire.AckRange, limit int) []byte
	}{
		{"ranges, two", 11, "ee 510007 057f10 0000 0103", wire.AppendAckRanges},
		{"ranges, two and not half", 12, "ee 510007 057f10 0000 0103", wire.AppendAckRanges},
		{"ranges, one", 10, "ee 510005 057f10 0000", wire.AppendAckRanges},
		{"ranges, none", 8, "ee 510003 057f10", wire.AppendAckRanges},
		{"ranges, nothing", 6, "ee", wire.AppendAckRanges},
		{"bitmap, one byte", 8, "ee 500004 057f10 79", wire.AppendAckBitmap},
		{"bitmap, none", 7, "ee 500003 057f10", wire.AppendAckBitmap},
		{"bitmap, far range left out", 1000, "ee 500004 057f10 79", wire.AppendAckBitmap},
		{"bitmap, nothing", 6, "ee", wire.AppendAckBitmap},
		{"limit below what is there", 0, "ee", wire.AppendAckRanges},
		{"limit below what is there", -1, "ee", wire.AppendAckBitmap},
	} {
		checkBytes(t, tc.name, tc.f([]byte{0xee}, 5, 127, 16, ranges, tc.limit), unhex(t, tc.want))
	}
	// A range cut by the limit acknowledges less, never more.
	b := wire.AppendAckBitmap(nil, 5, 127, 0, []wire.AckRange{{4, max64}}, 8)
	checkBytes(t, "cut range", b, unhex(t, "500005 057f00 fcff"))
}

// A chunk's own length limits an acknowledgement as well.
func TestAppendAckChunkLimit(t *testing.T) {
	many := make([]wire.AckRange, 40_000)
	for i := range many {
		n := uint64(i)*2 + 2
		many[i] = wire.AckRange{From: n, To: n}
	}
	_, body := onlyChunk(t, wire.AppendAckRanges(nil, 2, 0, 0, many, math.MaxInt))
	if len(body) != 65535 { // 3 bytes and 32,766 pairs of 1 byte each
		t.Errorf("%d bytes", len(body))
	}
	_, body = onlyChunk(t, wire.AppendAckBitmap(nil, 2, 0, 0, []wire.AckRange{{2, max64}}, math.MaxInt))
	if len(body) != 65535 {
		t.Errorf("%d bytes", len(body))
	}
}

func TestAppendAckSkipsDisorder(t *testing.T) {
	ranges := []wire.AckRange{
		{3, 9}, {11, 11}, // acknowledged already, or touching what is
		{12, 14}, {10, 20}, {15, 15}, {18, 17}, {17, 18}, {max64, 1},
	}
	want := []wire.AckRange{{12, 14}, {17, 18}}
	for _, f := range []func([]byte, uint64, uint64, uint64, []wire.AckRange, int) []byte{
		wire.AppendAckRanges, wire.AppendAckBitmap, wire.AppendAck,
	} {
		if got := ackedIn(f(nil, 2, 0, 10, ranges, 100)); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// Section 2.3.13: the more compact form.
func TestAppendAckChooses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		ranges []wire.AckRange
		limit  int
		want   wire.ChunkType
	}{
		{"nothing above", nil, 100, wire.ChunkAckRanges},
		{"one range", []wire.AckRange{{18, 18}}, 100, wire.ChunkAckBitmap},
		{"tie", []wire.AckRange{{18, 28}}, 100, wire.ChunkAckRanges},
		{"Figure 4", []wire.AckRange{{18, 18}, {21, 24}, {27, 28}}, 100, wire.ChunkAckBitmap},
		{"far", []wire.AckRange{{18, 18}, {1 << 40, 1 << 41}}, 100, wire.ChunkAckRanges},
		{"farthest", []wire.AckRange{{18, 18}, {max64, max64}}, 100, wire.ChunkAckRanges},
		{"no room for the bitmap", []wire.AckRange{{18, 18}, {27, 27}, {35, 35}}, 8, wire.ChunkAckRanges},
	} {
		typ, _ := onlyChunk(t, wire.AppendAck(nil, 5, 127, 16, tc.ranges, tc.limit))
		if typ != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, typ, tc.want)
		}
	}
}

// What AppendAck* is given comes out of All again, up to the limit and never more,
// and AppendAck is as short as the shorter of the two.
func TestAckRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cumAck := rapid.Uint64Range(0, 1<<20).Draw(t, "cumAck")
		var ranges []wire.AckRange
		for cursor := cumAck; len(ranges) < rapid.IntRange(0, 20).Draw(t, "n"); {
			from := cursor + 2 + rapid.Uint64Range(0, 300).Draw(t, "gap")
			to := from + rapid.Uint64Range(0, 300).Draw(t, "run")
			ranges = append(ranges, wire.AckRange{From: from, To: to})
			cursor = to
		}
		byRanges := wire.AppendAckRanges(nil, 2, 64, cumAck, ranges, 1<<16)
		byBitmap := wire.AppendAckBitmap(nil, 2, 64, cumAck, ranges, 1<<16)
		best := wire.AppendAck(nil, 2, 64, cumAck, ranges, 1<<16)
		for _, b := range [][]byte{byRanges, byBitmap, best} {
			if got := ackedIn(b); !slices.Equal(got, ranges) {
				t.Fatalf("%v, want %v", got, ranges)
			}
		}
		if len(best) != min(len(byRanges), len(byBitmap)) {
			t.Fatalf("%d bytes, ranges take %d, bitmap %d", len(best), len(byRanges), len(byBitmap))
		}

		limit := rapid.IntRange(0, 100).Draw(t, "limit")
		for _, b := range [][]byte{
			wire.AppendAckRanges(nil, 2, 64, cumAck, ranges, limit),
			wire.AppendAckBitmap(nil, 2, 64, cumAck, ranges, limit),
			wire.AppendAck(nil, 2, 64, cumAck, ranges, limit),
		} {
			if len(b) == 0 {
				continue
			}
			if len(b) > limit {
				t.Fatalf("%d bytes, limit %d", len(b), limit)
			}
			got := ackedIn(b)
			for i, r := range got {
				last := i == len(got)-1
				if r.From != ranges[i].From || r.To != ranges[i].To && (!last || r.To > ranges[i].To) {
					t.Fatalf("%v is not the start of %v", got, ranges)
				}
			}
		}
	})
}

// ackedIn returns the ranges of an acknowledgement chunk, nil if b is none.
func ackedIn(b []byte) []wire.AckRange {
	typ, body, _, _ := wire.NextChunk(b)
	switch c, _ := parseChunk(typ, body); c := c.(type) {
	case wire.AckRanges:
		return slices.Collect(c.All())
	case wire.AckBitmap:
		return slices.Collect(c.All())
	}
	return nil
}
