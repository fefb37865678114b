package wire_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

// Every packet that the reference sent parses to the recorded decoding and is
// encoded again byte for byte, header and chunks. There are no exceptions: its
// VLUs are minimal and its reserved bits 0.
func TestRecordedPackets(t *testing.T) {
	seen := make(map[wire.ChunkType]int)
	for _, e := range vectors.Exchanges(t) {
		t.Run(e.Scenario, func(t *testing.T) {
			for i := range e.Datagrams {
				d := &e.Datagrams[i]
				t.Run(fmt.Sprint(d.N), func(t *testing.T) { checkRecorded(t, d, seen) })
			}
		})
	}
	for typ := range 256 {
		typ := wire.ChunkType(typ)
		switch known := typ.AllowedIn(wire.ModeStartup) || typ.AllowedIn(wire.ModeInitiator); {
		case typ == wire.ChunkPacketFragment: // the reference has none
		case known && seen[typ] == 0:
			t.Errorf("no recorded %v was checked", typ)
		case !known && seen[typ] != 0:
			t.Errorf("%d recorded chunks of unknown type %v", seen[typ], typ)
		}
	}
}

func checkRecorded(t *testing.T, d *vectors.Datagram, seen map[wire.ChunkType]int) {
	packet := d.PacketBytes()
	h, rest, err := wire.ParseHeader(packet)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(recordedHeader(d.Packet), h); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	again := h.Append(nil)
	checkBytes(t, "flags", again[:1], d.Packet.Flags)

	off := func() int { return len(d.Plaintext) - len(rest) }
	for _, want := range d.Packet.Chunks {
		start := off()
		typ, body, next, ok := wire.NextChunk(rest)
		if !ok {
			t.Fatalf("no chunk at %d, want %s", start, want.Name)
		}
		if start != want.Off || len(body) != want.Len || byte(typ) != want.Type[0] {
			t.Fatalf("%v of %d bytes at %d, want %s of %d at %d", typ, len(body), start, want.Name, want.Len, want.Off)
		}
		rest = next
		if !typ.AllowedIn(h.Mode) {
			t.Errorf("%v is not allowed in mode %d", typ, h.Mode)
		}
		got, err := parseChunk(typ, body)
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		if diff := cmp.Diff(recordedChunk(d, want), got, chunkOptions); diff != "" {
			t.Errorf("%v (-want +got):\n%s", typ, diff)
		}
		checkDerived(t, want, got)
		again = got.Append(again)
		seen[typ]++
	}
	if _, _, _, ok := wire.NextChunk(rest); ok || off() != d.Packet.PaddingOff {
		t.Errorf("padding starts at %d (more chunks: %v), want %d", off(), ok, d.Packet.PaddingOff)
	}
	checkBytes(t, "padding", rest, d.Packet.Padding)
	checkBytes(t, "encoded again", append(again, rest...), packet)
}

func recordedHeader(p vectors.Packet) wire.Header {
	h := wire.Header{TimeCritical: p.TC, TimeCriticalReverse: p.TCR, Mode: wire.Mode(p.Mode)}
	if p.TS != nil {
		h.HasTimestamp, h.Timestamp = true, *p.TS
	}
	if p.TSE != nil {
		h.HasEcho, h.Echo = true, *p.TSE
	}
	return h
}

var fragments = map[string]wire.Fragment{
	"whole": wire.FragmentWhole, "begin": wire.FragmentBegin, "end": wire.FragmentEnd, "middle": wire.FragmentMiddle,
}

// recordedChunk makes our value from the recorder's decoding of a chunk.
func recordedChunk(d *vectors.Datagram, c vectors.Chunk) chunk {
	switch typ := wire.ChunkType(c.Type[0]); typ {
	case wire.ChunkIHello:
		return wire.IHello{EPD: c.EPD, Tag: c.Tag}
	case wire.ChunkFIHello:
		return wire.FIHello{EPD: c.EPD, ReplyAddress: recordedAddress(*c.ReplyAddress), Tag: c.Tag}
	case wire.ChunkRHello:
		return wire.RHello{Tag: c.Tag, Cookie: c.Cookie, Certificate: c.Cert}
	case wire.ChunkRedirect:
		var list []byte
		for _, a := range c.Addresses {
			list = append(list, a.Hex...)
		}
		return wire.Redirect{Tag: c.Tag, AddressList: list}
	case wire.ChunkCookieChange:
		return wire.CookieChange{OldCookie: c.OldCookie, NewCookie: c.NewCookie}
	case wire.ChunkIIKeying:
		return wire.IIKeying{
			SessionID: wire.SessionID(c.InitiatorSessionID),
			Cookie:    c.Cookie, Certificate: c.Cert, Component: c.SKIC, Signature: c.Signature,
		}
	case wire.ChunkRIKeying:
		return wire.RIKeying{SessionID: wire.SessionID(c.ResponderSessionID), Component: c.SKRC, Signature: c.Signature}
	case wire.ChunkPing:
		return wire.Ping{Message: c.Message}
	case wire.ChunkPingReply:
		return wire.PingReply{Message: c.Message}
	case wire.ChunkUserData:
		return wire.UserData{
			Fragment: fragments[c.Fra], Abandon: c.Abn, Final: c.Fin,
			Flow: c.Flow, Seq: c.Seq, FSNOffset: c.FSNOffset,
			HasOptions: c.UFlags[0]&0x80 != 0, Options: recordedOptions(c.Options),
			Data: d.Plaintext[c.DataOff : c.DataOff+c.DataLen],
		}
	case wire.ChunkNextUserData:
		return wire.NextUserData{
			Fragment: fragments[c.Fra], Abandon: c.Abn, Final: c.Fin,
			HasOptions: c.UFlags[0]&0x80 != 0, Options: recordedOptions(c.Options),
			Data: d.Plaintext[c.DataOff : c.DataOff+c.DataLen],
		}
	case wire.ChunkAckRanges:
		cursor, list := c.CumAck, []byte(nil)
		for _, r := range c.Ranges {
			list = wire.AppendVLU(list, r[0]-cursor-2)
			list = wire.AppendVLU(list, r[1]-r[0])
			cursor = r[1]
		}
		return wire.AckRanges{Flow: c.Flow, BufferBlocks: c.BufBlocks, CumAck: c.CumAck, Ranges: list}
	case wire.ChunkAckBitmap:
		return wire.AckBitmap{Flow: c.Flow, BufferBlocks: c.BufBlocks, CumAck: c.CumAck, Bitmap: c.Bitmap}
	case wire.ChunkBufferProbe:
		return wire.BufferProbe{Flow: c.Flow}
	case wire.ChunkFlowException:
		return wire.FlowException{Flow: c.Flow, Code: c.Code}
	case wire.ChunkECNReport:
		return wire.ECNReport{Count: c.CECount}
	default:
		return bare{typ: typ}
	}
}

// checkDerived checks what is read out of a parsed chunk: lists and ranges.
func checkDerived(t *testing.T, want vectors.Chunk, got chunk) {
	t.Helper()
	switch c := got.(type) {
	case wire.IHello:
		checkBytes(t, "EPD options", c.EPD, recordedOptions(want.EPDOptions))
	case wire.RHello:
		if n := len(slices.Collect(wire.Options(c.Certificate))); want.CertOptionsCount != 0 && n != want.CertOptionsCount {
			t.Errorf("%d options in the certificate, want %d", n, want.CertOptionsCount)
		}
	case wire.Redirect:
		var addrs []wire.Address
		for _, a := range want.Addresses {
			addrs = append(addrs, recordedAddress(a))
		}
		if got := slices.Collect(c.Addresses()); !slices.Equal(got, addrs) {
			t.Errorf("addresses %v, want %v", got, addrs)
		}
		checkBytes(t, "AppendRedirect", wire.AppendRedirect(nil, c.Tag, addrs), c.Append(nil))
	case wire.UserData:
		if want.FSN != c.ForwardSeq() {
			t.Errorf("forward sequence number %d, want %d", c.ForwardSeq(), want.FSN)
		}
		checkOptions(t, c.Options, want)
	case wire.NextUserData:
		checkOptions(t, c.Options, want)
	case wire.AckRanges:
		ranges := slices.Collect(c.All())
		if want := recordedRanges(want.Ranges); !slices.Equal(ranges, want) {
			t.Errorf("ranges %v, want %v", ranges, want)
		}
		checkBytes(t, "AppendAckRanges",
			wire.AppendAckRanges(nil, c.Flow, c.BufferBlocks, c.CumAck, ranges, 1200), c.Append(nil))
	case wire.AckBitmap:
		ranges := slices.Collect(c.All())
		if got := numbers(ranges); !slices.Equal(got, want.Acked) {
			t.Errorf("acknowledged %v, want %v", got, want.Acked)
		}
		checkBytes(t, "AppendAckBitmap",
			wire.AppendAckBitmap(nil, c.Flow, c.BufferBlocks, c.CumAck, ranges, 1200), c.Append(nil))
	}
}

func checkOptions(t *testing.T, list []byte, want vectors.Chunk) {
	t.Helper()
	var metadata []byte
	var returnFlow *uint64
	for o := range wire.Options(list) {
		switch o.Type {
		case wire.OptionMetadata:
			metadata = o.Value
		case wire.OptionReturnAssociation:
			flow, _, err := wire.ParseVLU(o.Value)
			if err != nil {
				t.Fatal(err)
			}
			returnFlow = &flow
		}
	}
	checkBytes(t, "metadata", metadata, want.Metadata)
	if diff := cmp.Diff(want.ReturnFlow, returnFlow); diff != "" {
		t.Errorf("return association (-want +got):\n%s", diff)
	}
}

func recordedAddress(a vectors.Address) wire.Address {
	return wire.Address{AddrPort: a.Address, Origin: wire.Origin(a.Origin)}
}

func recordedOptions(options []vectors.Option) (list []byte) {
	for _, o := range options {
		if o.Marker {
			list = wire.AppendMarker(list)
		} else {
			list = wire.AppendOption(list, o.Type, o.Value)
		}
	}
	return list
}

func recordedRanges(pairs [][2]uint64) (ranges []wire.AckRange) {
	for _, p := range pairs {
		ranges = append(ranges, wire.AckRange{From: p[0], To: p[1]})
	}
	return ranges
}

// numbers counts ranges out, for small test data.
func numbers(ranges []wire.AckRange) (all []uint64) {
	for _, r := range ranges {
		for n := r.From; n <= r.To; n++ {
			all = append(all, n)
		}
	}
	return all
}
