package wire_test

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp/wire"
)

// samples has a chunk of every type, by hand from the RFC's field lists.
var samples = []struct {
	hex  string
	want chunk
	// least is the shortest payload that parses, as a prefix of this one.
	least int
}{
	{
		"30 0006 03 020a78 aabb",
		wire.IHello{EPD: []byte{2, 10, 'x'}, Tag: []byte{0xaa, 0xbb}},
		4,
	},
	{
		"0f 000d 03 020a78 02 c0000201 078f aabb",
		wire.FIHello{
			EPD:          []byte{2, 10, 'x'},
			ReplyAddress: wire.Address{AddrPort: netip.MustParseAddrPort("192.0.2.1:1935"), Origin: wire.OriginObserved},
			Tag:          []byte{0xaa, 0xbb},
		},
		11,
	},
	{
		"70 000a 02 aabb 03 010203 010a 00",
		wire.RHello{Tag: []byte{0xaa, 0xbb}, Cookie: []byte{1, 2, 3}, Certificate: []byte{1, 10, 0}},
		7,
	},
	{
		"71 0003 02 aabb",
		wire.Redirect{Tag: []byte{0xaa, 0xbb}},
		3,
	},
	{
		"79 0006 02 aabb 010203",
		wire.CookieChange{OldCookie: []byte{0xaa, 0xbb}, NewCookie: []byte{1, 2, 3}},
		3,
	},
	{
		"38 000d 02000000 02 aabb 01 cc 02 dd01 58",
		wire.IIKeying{
			SessionID: wire.SessionID{2}, Cookie: []byte{0xaa, 0xbb}, Certificate: []byte{0xcc},
			Component: []byte{0xdd, 1}, Signature: []byte("X"),
		},
		12,
	},
	{
		"78 0008 03000001 02 dd01 58",
		wire.RIKeying{SessionID: wire.SessionID{3, 0, 0, 1}, Component: []byte{0xdd, 1}, Signature: []byte("X")},
		7,
	},
	{"01 0000", wire.Ping{}, 0},
	{"01 0002 4d01", wire.Ping{Message: []byte{0x4d, 1}}, 0},
	{"41 0002 4d01", wire.PingReply{Message: []byte{0x4d, 1}}, 0},
	{
		"10 000b 80 02 01 01 050054430400 00",
		wire.UserData{Flow: 2, Seq: 1, FSNOffset: 1, HasOptions: true, Options: []byte{5, 0, 'T', 'C', 4, 0}},
		11,
	},
	{
		"10 0005 80 02 01 01 00",
		wire.UserData{Flow: 2, Seq: 1, FSNOffset: 1, HasOptions: true},
		5,
	},
	{
		"10 0008 13 8100 8101 01 4142",
		wire.UserData{
			Fragment: wire.FragmentBegin, Abandon: true, Final: true,
			Flow: 128, Seq: 129, FSNOffset: 1, Data: []byte("AB"),
		},
		6,
	},
	{
		"11 0005 b0 0100 00 ff",
		wire.NextUserData{Fragment: wire.FragmentMiddle, HasOptions: true, Options: []byte{1, 0}, Data: []byte{0xff}},
		4,
	},
	{"11 0001 23", wire.NextUserData{Fragment: wire.FragmentEnd, Abandon: true, Final: true}, 1},
	{"18 0002 8101", wire.BufferProbe{Flow: 129}, 2},
	{"5e 0003 02 8100", wire.FlowException{Flow: 2, Code: 128}, 3},
	{"0c 0000", bare{typ: wire.ChunkCloseRequest}, 0},
	{"4c 0000", bare{typ: wire.ChunkCloseAck}, 0},
	{"ec 0001 07", wire.ECNReport{Count: 7}, 1},
	{
		"50 0006 02 ff7f 8101 05",
		wire.AckBitmap{Flow: 2, BufferBlocks: 16383, CumAck: 129, Bitmap: []byte{5}},
		5,
	},
	{
		"51 0006 02 7f 10 00 8101",
		wire.AckRanges{Flow: 2, BufferBlocks: 127, CumAck: 16, Ranges: []byte{0, 0x81, 1}},
		3,
	},
	{
		"7f 0006 80 8101 02 abcd",
		wire.PacketFragment{More: true, PacketID: 129, Fragment: 2, Data: []byte{0xab, 0xcd}},
		5,
	},
}

// TestSamples parses each sample to its value and back, and cut short to an error.
func TestSamples(t *testing.T) {
	for _, s := range samples {
		whole := unhex(t, s.hex)
		typ, body := onlyChunk(t, whole)
		got, err := parseChunk(typ, body)
		if err != nil {
			t.Errorf("%s: %v", s.hex, err)
			continue
		}
		if diff := cmp.Diff(s.want, got, chunkOptions); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.hex, diff)
		}
		checkBytes(t, s.hex, s.want.Append([]byte{0x0b}), append([]byte{0x0b}, whole...))

		for n := range body {
			if _, err := parseChunk(typ, body[:n]); (err == nil) != (n >= s.least) {
				t.Errorf("%v: the first %d of %d bytes: %v", typ, n, len(body), err)
			}
		}
	}
}

// RFC 7016 Figure 3: sequential messages in one packet.
func TestFigure3(t *testing.T) {
	packet := unhex(t, "100007 00 020503 000102"+"110004 00 030405"+"110004 00 060708")
	var b []byte
	b = wire.UserData{Flow: 2, Seq: 5, FSNOffset: 3, Data: []byte{0, 1, 2}}.Append(b)
	b = wire.NextUserData{Data: []byte{3, 4, 5}}.Append(b)
	b = wire.NextUserData{Data: []byte{6, 7, 8}}.Append(b)
	checkBytes(t, "Figure 3", b, packet)

	typ, body, rest, ok := wire.NextChunk(packet)
	first, err := wire.ParseUserData(body)
	if !ok || typ != wire.ChunkUserData || err != nil || first.Flow != 2 || first.Seq != 5 || first.ForwardSeq() != 2 {
		t.Errorf("first chunk: %v, %+v, %v", typ, first, err)
	}
	for _, want := range [][]byte{{3, 4, 5}, {6, 7, 8}} {
		typ, body, rest, ok = wire.NextChunk(rest)
		next, err := wire.ParseNextUserData(body)
		if !ok || typ != wire.ChunkNextUserData || err != nil || next.Fragment != wire.FragmentWhole {
			t.Errorf("next chunk: %v, %+v, %v", typ, next, err)
		}
		checkBytes(t, "data", next.Data, want)
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes left", len(rest))
	}
}

func TestUserDataSequence(t *testing.T) {
	for _, tc := range []struct {
		hex  string
		want error
	}{
		{"00 02 01 01", nil},
		{"00 02 05 05", nil},
		{"00 02 05 06", wire.ErrSequence}, // offset beyond the sequence number
		{"00 02 05 00", wire.ErrSequence}, // offset 0 without ABN
		{"02 02 05 00", nil},
		{"03 02 05 00", nil},
		{"02 02 00 00", wire.ErrSequence},                        // sequence number 0
		{"00 02 83ffffffffffffffff7f 83ffffffffffffffff7f", nil}, // 2^65-1, saturated
		{"80 02 05 01 01", wire.ErrTruncated},                    // option cut off
		{"80 02 05 01 0100", wire.ErrTruncated},                  // no Marker
		{"80 02 05 01 0181 00", wire.ErrTruncated},               // option type longer than the option
	} {
		if c, err := wire.ParseUserData(unhex(t, tc.hex)); err != tc.want {
			t.Errorf("%s: %+v, %v; want %v", tc.hex, c, err, tc.want)
		}
	}
}

// A non-minimal Marker or VLU is legal; it comes back minimal.
func TestUserDataNotMinimal(t *testing.T) {
	c, err := wire.ParseUserData(unhex(t, "80 8002 80808001 01 0100 8000 ff"))
	if err != nil {
		t.Fatal(err)
	}
	checkBytes(t, "options", c.Options, unhex(t, "0100"))
	checkBytes(t, "encoded again", c.Append(nil), unhex(t, "10 0008 80 02 01 01 0100 00 ff"))
}

func TestEmptyPacketFragment(t *testing.T) {
	if c, err := wire.ParsePacketFragment(unhex(t, "80 01 00")); err != wire.ErrEmptyFragment {
		t.Errorf("%+v, %v", c, err)
	}
}

// An address list with a torn end voids the Redirect, yet Addresses of one made by
// hand stops before it.
func TestRedirectTornList(t *testing.T) {
	list := unhex(t, "02 c0000201 078f 80 2001")
	if c, err := wire.ParseRedirect(append([]byte{0}, list...)); err != wire.ErrTruncated {
		t.Errorf("%+v, %v", c, err)
	}
	n := 0
	for range (wire.Redirect{AddressList: list}).Addresses() {
		n++
	}
	if n != 1 {
		t.Errorf("%d addresses, want 1", n)
	}
}

func TestHeader(t *testing.T) {
	for _, tc := range []struct {
		hex  string
		want wire.Header
	}{
		{"01", wire.Header{Mode: wire.ModeInitiator}},
		{"82", wire.Header{Mode: wire.ModeResponder, TimeCritical: true}},
		{"42", wire.Header{Mode: wire.ModeResponder, TimeCriticalReverse: true}},
		{"0b 1234", wire.Header{Mode: wire.ModeStartup, HasTimestamp: true, Timestamp: 0x1234}},
		{"05 0000", wire.Header{Mode: wire.ModeInitiator, HasEcho: true}},
		{"ce 1234 ffff", wire.Header{
			Mode: wire.ModeResponder, TimeCritical: true, TimeCriticalReverse: true,
			HasTimestamp: true, Timestamp: 0x1234, HasEcho: true, Echo: 0xffff,
		}},
	} {
		whole := unhex(t, tc.hex)
		h, rest, err := wire.ParseHeader(append(whole, 0xee))
		if h != tc.want || !bytes.Equal(rest, []byte{0xee}) || err != nil {
			t.Errorf("%s: %+v, %x, %v; want %+v", tc.hex, h, rest, err, tc.want)
		}
		checkBytes(t, tc.hex, tc.want.Append(nil), whole)
		for n := range whole {
			if h, _, err := wire.ParseHeader(whole[:n]); err != wire.ErrTruncated {
				t.Errorf("the first %d bytes of %s: %+v, %v", n, tc.hex, h, err)
			}
		}
		// Reserved bits are ignored.
		reserved := append([]byte{whole[0] | 0x30}, whole[1:]...)
		if h, _, err := wire.ParseHeader(reserved); h != tc.want || err != nil {
			t.Errorf("%x: %+v, %v; want %+v", reserved, h, err, tc.want)
		}
	}
	for _, in := range []string{"00", "08 1234", "fc 1234 5678", "30"} {
		if h, _, err := wire.ParseHeader(unhex(t, in)); err != wire.ErrMode {
			t.Errorf("%s: %+v, %v; want ErrMode", in, h, err)
		}
	}
}

// Section 2.2.4: fewer than three bytes, or a length that does not fit, are
// padding. Bytes of 0xff at the end of data are data (NOTES.md 4).
func TestNextChunkPadding(t *testing.T) {
	for _, in := range []string{"", "ff", "ffff", "ffffff", "ffffffffffffff", "010001", "10ffff00"} {
		if typ, body, rest, ok := wire.NextChunk(unhex(t, in)); ok || typ != 0 || body != nil || rest != nil {
			t.Errorf("%s: %v, %x, %x, %v; want padding", in, typ, body, rest, ok)
		}
	}
	typ, body, rest, ok := wire.NextChunk(unhex(t, "01 0002 ffff ff"))
	if !ok || typ != wire.ChunkPing || !bytes.Equal(body, []byte{0xff, 0xff}) || !bytes.Equal(rest, []byte{0xff}) {
		t.Errorf("%v, %x, %x, %v", typ, body, rest, ok)
	}
	// A caller that appends to a body must not write into the next chunk.
	if cap(body) != len(body) {
		t.Errorf("body has capacity %d beyond its %d bytes", cap(body), len(body))
	}
}

func TestChunkTypes(t *testing.T) {
	startup, session := "", ""
	for i := range 256 {
		typ := wire.ChunkType(i)
		if typ.AllowedIn(wire.ModeForbidden) || typ.AllowedIn(wire.ModeInitiator) != typ.AllowedIn(wire.ModeResponder) {
			t.Errorf("%v: allowed in mode 0, or in one of 1 and 2", typ)
		}
		if typ.AllowedIn(wire.ModeStartup) {
			startup += fmt.Sprintf(" %02x:%v", i, typ)
		}
		if typ.AllowedIn(wire.ModeInitiator) {
			session += fmt.Sprintf(" %02x:%v", i, typ)
		}
	}
	const (
		wantStartup = " 30:IHello 38:IIKeying 70:RHello 71:Redirect 78:RIKeying 79:CookieChange 7f:PacketFragment"
		wantSession = " 01:Ping 0c:CloseRequest 0f:FIHello 10:UserData 11:NextUserData 18:BufferProbe 41:PingReply" +
			" 4c:CloseAck 50:AckBitmap 51:AckRanges 5e:FlowException 7f:PacketFragment ec:ECNReport"
	)
	if startup != wantStartup || session != wantSession {
		t.Errorf("startup:\n got%s\nwant%s\nsession:\n got%s\nwant%s", startup, wantStartup, session, wantSession)
	}
	if got := fmt.Sprint(wire.ChunkIgnore, wire.ChunkPadding, wire.ChunkType(0xab)); got != "Ignore Padding 0xab" {
		t.Error(got)
	}
}

// A payload that the 16-bit length cannot express adds nothing to the packet; one
// byte less does.
func TestOversizedChunk(t *testing.T) {
	before := []byte{0x0b}
	for _, tc := range []struct {
		overhead int // payload bytes beside the long field
		make     func(long []byte) chunk
	}{
		{1, func(l []byte) chunk { return wire.IHello{Tag: l} }},
		{1 + 7, func(l []byte) chunk {
			return wire.FIHello{ReplyAddress: wire.Address{AddrPort: netip.MustParseAddrPort("1.2.3.4:5")}, Tag: l}
		}},
		{2, func(l []byte) chunk { return wire.RHello{Certificate: l} }},
		{1, func(l []byte) chunk { return wire.Redirect{AddressList: l} }},
		{1, func(l []byte) chunk { return wire.CookieChange{NewCookie: l} }},
		{4 + 3, func(l []byte) chunk { return wire.IIKeying{Signature: l} }},
		{4 + 1, func(l []byte) chunk { return wire.RIKeying{Signature: l} }},
		{0, func(l []byte) chunk { return wire.Ping{Message: l} }},
		{0, func(l []byte) chunk { return wire.PingReply{Message: l} }},
		{4, func(l []byte) chunk { return wire.UserData{Flow: 2, Seq: 1, FSNOffset: 1, Data: l} }},
		{1, func(l []byte) chunk { return wire.NextUserData{Data: l} }},
		{3, func(l []byte) chunk { return wire.AckRanges{Ranges: l} }},
		{3, func(l []byte) chunk { return wire.AckBitmap{Bitmap: l} }},
		{3, func(l []byte) chunk { return wire.PacketFragment{Data: l} }},
	} {
		longest := make([]byte, math.MaxUint16-tc.overhead)
		c := tc.make(longest)
		_, body := onlyChunk(t, c.Append(nil))
		if len(body) != math.MaxUint16 {
			t.Errorf("%T: payload of %d bytes, want 65535", c, len(body))
		}
		checkBytes(t, fmt.Sprintf("oversized %T", c), tc.make(append(longest, 0)).Append(before), before)
	}
	var many []wire.Address
	for range 65535/7 + 1 {
		many = append(many, wire.Address{AddrPort: netip.MustParseAddrPort("1.2.3.4:5")})
	}
	checkBytes(t, "oversized AppendRedirect", wire.AppendRedirect(before, nil, many), before)
}

func TestUserDataHeader(t *testing.T) {
	for _, c := range []wire.UserData{
		{Flow: 2, Seq: 1, FSNOffset: 1},
		{Flow: 128, Seq: 1 << 40, FSNOffset: 200, HasOptions: true, Options: []byte{1, 0}, Final: true},
	} {
		if n := len(c.AppendHeader(nil, 10)); n != c.HeaderLen() {
			t.Errorf("%+v: header of %d bytes, HeaderLen %d", c, n, c.HeaderLen())
		}
		c.Data = []byte("data")
		checkBytes(t, "in two steps", append(c.AppendHeader(nil, 4), "data"...), c.Append(nil))
		next := wire.NextUserData{HasOptions: c.HasOptions, Options: c.Options, Data: c.Data}
		if n := len(next.AppendHeader(nil, 10)); n != next.HeaderLen() {
			t.Errorf("%+v: header of %d bytes, HeaderLen %d", next, n, next.HeaderLen())
		}
		checkBytes(t, "in two steps", append(next.AppendHeader(nil, 4), "data"...), next.Append(nil))
	}
}
