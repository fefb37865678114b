package wire_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

func TestRecordedVLUs(t *testing.T) {
	p := vectors.Primitives(t)
	for _, row := range p.VLUEncode {
		checkBytes(t, "AppendVLU", wire.AppendVLU(nil, row.Value), row.Hex)
		if n := wire.VLULen(row.Value); n != len(row.Hex) {
			t.Errorf("VLULen(%d) = %d, want %d", row.Value, n, len(row.Hex))
		}
		if v, rest, err := wire.ParseVLU(row.Hex); v != row.Value || len(rest) != 0 || err != nil {
			t.Errorf("ParseVLU(%v) = %d, %x, %v; want %d", row.Hex, v, rest, err, row.Value)
		}
	}
	for _, row := range p.VLUParse {
		v, rest, err := wire.ParseVLU(row.Hex)
		if (err == nil) != row.OK || v != row.Value || row.OK && len(row.Hex)-len(rest) != row.Consumed {
			t.Errorf("ParseVLU(%v) = %d, %x, %v; want %+v", row.Hex, v, rest, err, row)
		}
	}
}

func TestRecordedOptions(t *testing.T) {
	p := vectors.Primitives(t)
	for _, row := range p.OptionEncode {
		if row.Marker {
			checkBytes(t, "AppendMarker", wire.AppendMarker(nil), row.Hex)
			continue
		}
		checkBytes(t, "AppendOption", wire.AppendOption(nil, row.Type, row.Value), row.Hex)
		if n := wire.OptionLen(row.Type, len(row.Value)); n != len(row.Hex) {
			t.Errorf("OptionLen(%d, %d) = %d, want %d", row.Type, len(row.Value), n, len(row.Hex))
		}
	}
	for _, row := range p.OptionParse {
		o, rest, err := wire.ParseOption(row.Hex)
		if (err == nil) != row.OK || o.Marker != row.Marker || o.Type != row.Type ||
			!bytes.Equal(o.Value, row.Value) || row.OK && len(row.Hex)-len(rest) != row.Consumed {
			t.Errorf("ParseOption(%v) = %+v, %x, %v; want %+v", row.Hex, o, rest, err, row)
		}
	}
}

func TestRecordedAddresses(t *testing.T) {
	p := vectors.Primitives(t)
	for _, row := range p.AddressEncode {
		a := recordedAddress(row.Address)
		checkBytes(t, "Address.Append", a.Append(nil), row.Hex)
		if a.Len() != len(row.Hex) {
			t.Errorf("%v: Len %d, want %d", a, a.Len(), len(row.Hex))
		}
	}
	for _, row := range p.AddressParse {
		a, rest, err := wire.ParseAddress(row.Hex)
		if (err == nil) != row.OK || a != recordedAddress(row.Address) || row.OK && len(row.Hex)-len(rest) != row.Consumed {
			t.Errorf("ParseAddress(%v) = %v, %x, %v; want %+v", row.Hex, a, rest, err, row)
		}
	}
}

// Where ParseAddressText differs from the reference: it is strict about ports
// (testdata/vectors/NOTES.md 29) and brackets, and takes an IPv4 address without a
// port, as some mobile AIR clients send.
func TestRecordedAddressTexts(t *testing.T) {
	refused := []string{"[192.0.2.129]:50001", "192.0.2.1:99999", "192.0.2.1:-1", "192.0.2.1:12abc"}
	portless := []string{"192.0.2.129"}
	for _, row := range vectors.Primitives(t).AddressPresentationParse {
		ap, err := wire.ParseAddressText(row.Text)
		switch {
		case slices.Contains(refused, row.Text):
			if err != wire.ErrAddressText || !row.OK {
				t.Errorf("%q: %v, %v; the reference takes it and we do not", row.Text, ap, err)
			}
		case slices.Contains(portless, row.Text):
			if err != nil || ap != netip.AddrPortFrom(netip.MustParseAddr(row.Text), 0) || row.OK {
				t.Errorf("%q: %v, %v; want port 0", row.Text, ap, err)
			}
		case row.OK:
			checkBytes(t, row.Text, wire.Address{AddrPort: ap}.Append(nil), row.Hex)
			if err != nil || ap.String() != row.Address {
				t.Errorf("%q: %v, %v; want %s", row.Text, ap, err, row.Address)
			}
		case err != wire.ErrAddressText || ap.IsValid():
			t.Errorf("%q: %v, %v; want an error", row.Text, ap, err)
		}
	}
}

func TestRecordedSessionIDs(t *testing.T) {
	for _, row := range vectors.Primitives(t).ScrambledSessionID {
		checkScramble(t, row.SID, append(make([]byte, 4), row.EncryptedFirst8...), row.Scrambled)
	}
	for _, row := range vectors.Primitives(t).DefaultKeyPackets {
		checkScramble(t, row.SID, row.Datagram, row.Datagram[:4])
	}
	for _, e := range vectors.Exchanges(t) {
		for i := range e.Datagrams {
			d := &e.Datagrams[i]
			checkScramble(t, d.SID, d.Hex, d.Hex[:4])
		}
	}
}

func checkScramble(t *testing.T, sid vectors.Hex, datagram, scrambled []byte) {
	t.Helper()
	b := slices.Clone(datagram)
	clear(b[:4])
	wire.SessionID(sid).Scramble(b)
	checkBytes(t, "Scramble", b[:4], scrambled)
	checkBytes(t, "datagram behind the ID", b[4:], datagram[4:])
	if id, ok := wire.Unscramble(b); !ok || id.String() != sid.String() {
		t.Errorf("Unscramble: %v, %v; want %v", id, ok, sid)
	}
}

func TestUnscrambleShort(t *testing.T) {
	if id, ok := wire.Unscramble(make([]byte, 11)); ok || id != (wire.SessionID{}) {
		t.Errorf("11 bytes: %v, %v", id, ok)
	}
}

// The three acknowledgement chunks that RFC 7016 prints: Figures 4, 5 and 6.
func TestAckExamples(t *testing.T) {
	for _, row := range vectors.Primitives(t).AckExamples {
		typ, body := onlyChunk(t, row.Chunk)
		c, err := parseChunk(typ, body)
		if err != nil {
			t.Fatalf("%s: %v", row.Source, err)
		}
		// Encoding what was understood of a truncated chunk leaves the half pair out.
		want := []byte(row.Chunk)
		if row.Truncated {
			want = unhex(t, "510005 057f10 0000")
		}
		switch c := c.(type) {
		case wire.AckBitmap:
			ranges := slices.Collect(c.All())
			if c.Flow != row.Flow || c.BufferBlocks != row.BufBlocks || c.CumAck != row.CumAck ||
				!slices.Equal(numbers(ranges), row.Acked) {
				t.Errorf("%s: %+v acknowledges %v", row.Source, c, ranges)
			}
			checkBytes(t, row.Source, wire.AppendAckBitmap(nil, c.Flow, c.BufferBlocks, c.CumAck, ranges, 100), want)
		case wire.AckRanges:
			ranges := slices.Collect(c.All())
			if c.Flow != row.Flow || c.BufferBlocks != row.BufBlocks || c.CumAck != row.CumAck ||
				!slices.Equal(ranges, recordedRanges(row.Ranges)) {
				t.Errorf("%s: %+v acknowledges %v", row.Source, c, ranges)
			}
			checkBytes(t, row.Source, wire.AppendAckRanges(nil, c.Flow, c.BufferBlocks, c.CumAck, ranges, 100), want)
		default:
			t.Errorf("%s: %T", row.Source, c)
		}
		checkBytes(t, row.Source, c.Append(nil), row.Chunk)
	}
}
