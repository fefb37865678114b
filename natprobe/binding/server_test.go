package binding

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/stun/v2"
)

var (
	client = netip.MustParseAddrPort("192.0.2.7:40000")
	a1     = netip.MustParseAddr("203.0.113.1")
	a2     = netip.MustParseAddr("203.0.113.2")
	v6     = netip.MustParseAddr("2001:db8::1")
	both   = Server{Addrs: []netip.Addr{a1, v6, a2}, Ports: [2]uint16{3478, 3479}}
	single = Server{Addrs: []netip.Addr{a1, v6}, Ports: [2]uint16{3478, 3479}}
)

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

func request(t *testing.T, set ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, set...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// RFC 5780 section 6.1, table 1.
func TestChangeRequest(t *testing.T) {
	for _, test := range []struct {
		ip, port          bool
		local, via, other netip.AddrPort
	}{
		{false, false, at(a1, 3478), at(a1, 3478), at(a2, 3479)},
		{true, false, at(a1, 3478), at(a2, 3478), at(a2, 3479)},
		{false, true, at(a1, 3478), at(a1, 3479), at(a2, 3479)},
		{true, true, at(a1, 3478), at(a2, 3479), at(a2, 3479)},
		{true, true, at(a2, 3479), at(a1, 3478), at(a1, 3478)},
		{false, true, at(a2, 3478), at(a2, 3479), at(a1, 3479)},
	} {
		req := Request{Transaction: Transaction{1}, ChangeIP: test.ip, ChangePort: test.port}
		r, ok := both.Respond(req.Append(nil), client, test.local)
		if !ok || r.From != test.via || r.To != client {
			t.Fatalf("%+v: via %v to %v, %t", test, r.From, r.To, ok)
		}
		got, err := ParseAnswer(r.Data)
		want := Answer{Transaction: Transaction{1}, Seen: client, Plain: client, Other: test.other}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("%+v: %v %s", test, err, diff)
		}
	}
}

func TestAttributesByPlace(t *testing.T) {
	change := stun.RawAttribute{Type: stun.AttrChangeRequest, Value: []byte{0, 0, 0, changePort}}
	port := stun.RawAttribute{Type: stun.AttrResponsePort, Value: []byte{0x9c, 0x41}}
	padding := stun.RawAttribute{Type: stun.AttrPadding, Value: make([]byte, 100)}
	all := []stun.AttrType{stun.AttrXORMappedAddress, stun.AttrMappedAddress, stun.AttrResponseOrigin, stun.AttrOtherAddress}
	for _, test := range []struct {
		name   string
		server Server
		local  netip.AddrPort
		set    []stun.Setter
		code   stun.ErrorCode
		attrs  []stun.AttrType // of a success
		to     uint16
	}{
		{"bare", both, at(a1, 3478), nil, 0, all, client.Port()},
		{"bare with one address", single, at(a1, 3478), nil, 0, all[:3], client.Port()},
		{"other family has one address", both, at(v6, 3478), nil, 0, all[:3], client.Port()},
		{"main port", both, at(a1, 1935), nil, 0, all[:1], client.Port()},
		{"unknown address", both, at(netip.MustParseAddr("203.0.113.9"), 3478), nil, 0, all[:1], client.Port()},
		{"one port", Server{Addrs: []netip.Addr{a1, a2}, Ports: [2]uint16{3478}}, at(a1, 3478), nil, 0, all[:1], client.Port()},
		{"change with one address", single, at(a1, 3478), []stun.Setter{change}, 420, nil, 0},
		{"change on the main port", both, at(a1, 1935), []stun.Setter{change}, 420, nil, 0},
		{"padding on the main port", both, at(a1, 1935), []stun.Setter{padding}, 420, nil, 0},
		{"unknown required", both, at(a1, 3478), []stun.Setter{stun.RawAttribute{Type: 0x7ffe, Value: []byte{1}}}, 420, nil, 0},
		{"unknown optional", both, at(a1, 3478), []stun.Setter{stun.RawAttribute{Type: 0xfffe, Value: []byte{1}}}, 0, all, client.Port()},
		{"username", both, at(a1, 1935), []stun.Setter{stun.NewUsername("x")}, 0, all[:1], client.Port()},
		{"response port", single, at(a1, 3478), []stun.Setter{port}, 0, all[:3], 0x9c41},
		{"response port zero", both, at(a1, 3478), []stun.Setter{stun.RawAttribute{Type: stun.AttrResponsePort, Value: []byte{0, 0}}}, 400, nil, 0},
		{"response port cut", both, at(a1, 3478), []stun.Setter{stun.RawAttribute{Type: stun.AttrResponsePort, Value: []byte{1}}}, 400, nil, 0},
		{"change cut", both, at(a1, 3478), []stun.Setter{stun.RawAttribute{Type: stun.AttrChangeRequest, Value: []byte{1}}}, 400, nil, 0},
		{"padding", both, at(a1, 3478), []stun.Setter{padding}, 0, append(slices.Clone(all), stun.AttrPadding), client.Port()},
		{"padding and response port", both, at(a1, 3478), []stun.Setter{padding, port}, 400, nil, 0},
		{"fingerprint", both, at(a1, 1935), []stun.Setter{stun.Fingerprint}, 0, []stun.AttrType{stun.AttrXORMappedAddress, stun.AttrFingerprint}, client.Port()},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := request(t, test.set...)
			r, ok := test.server.Respond(req, client, test.local)
			if !ok {
				t.Fatal("no answer")
			}
			var m stun.Message
			if err := stun.Decode(r.Data, &m); err != nil {
				t.Fatal(err)
			}
			if m.TransactionID != [12]byte(req[8:20]) {
				t.Error("another transaction")
			}
			var code stun.ErrorCodeAttribute
			if test.code != 0 {
				if err := code.GetFrom(&m); err != nil || code.Code != test.code || r.To != client || r.From != test.local {
					t.Errorf("%v %v to %v", code, err, r.To)
				}
				return
			}
			var attrs []stun.AttrType
			for _, a := range m.Attributes {
				attrs = append(attrs, a.Type)
			}
			if diff := cmp.Diff(test.attrs, attrs); diff != "" || m.Type != stun.BindingSuccess {
				t.Errorf("%v: %s", m.Type, diff)
			}
			if r.To != at(client.Addr(), test.to) {
				t.Errorf("to %v", r.To)
			}
		})
	}
}

// Each in 16 bits, padded behind the last.
func TestUnknownAttributesAreNamed(t *testing.T) {
	one := stun.RawAttribute{Type: stun.AttrChangeRequest, Value: make([]byte, 4)}
	for want, set := range map[string][]stun.Setter{
		"\x00\x0a\x00\x02\x00\x03\x00\x00":                 {one},
		"\x00\x0a\x00\x04\x00\x03\x7f\xfe":                 {one, stun.RawAttribute{Type: 0x7ffe}, one},
		"\x00\x0a\x00\x06\x00\x03\x7f\xfe\x00\x26\x00\x00": {one, stun.RawAttribute{Type: 0x7ffe}, stun.RawAttribute{Type: stun.AttrPadding}},
	} {
		r, _ := single.Respond(request(t, set...), client, at(a1, 1935))
		if !strings.HasSuffix(string(r.Data), want) {
			t.Errorf("%x does not end in %x", r.Data, want)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	bad := request(t, stun.Fingerprint)
	bad[len(bad)-1]++
	for name, req := range map[string][]byte{
		"empty":           {},
		"short":           make([]byte, 19),
		"RTMFP":           make([]byte, 64),
		"longer than it":  append(request(t), 0, 0, 0, 0),
		"response":        stun.MustBuild(stun.TransactionID, stun.BindingSuccess).Raw,
		"indication":      stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication)).Raw,
		"allocate":        stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw,
		"bad fingerprint": bad,
		"cut attribute":   {0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 9},
	} {
		if r, ok := both.Respond(req, client, at(a1, 3478)); ok {
			t.Errorf("%s: answered %x", name, r.Data)
		}
	}
}

func TestIPv6(t *testing.T) {
	from := netip.MustParseAddrPort("[2001:db8::7]:40000")
	r, _ := both.Respond(Request{}.Append(nil), from, at(v6, 1935))
	if a, err := ParseAnswer(r.Data); err != nil || a.Seen != from {
		t.Errorf("%v %v", a, err)
	}
}

// ipBytes is the size of the IP packet that carries n bytes.
func ipBytes(n int, to netip.Addr) int {
	if to.Is4() {
		return n + 20 + 8
	}
	return n + 40 + 8
}

// isSmall checks that an answer is at most three times its question, as IP packets.
func isSmall(t *testing.T, question []byte, r Response) {
	t.Helper()
	const times = 3
	if in, out := ipBytes(len(question), r.To.Addr()), ipBytes(len(r.Data), r.To.Addr()); out > times*in {
		t.Errorf("%d bytes for %d: %x for %x", out, in, r.Data, question)
	}
}

// An answer goes to an address that may be forged, of either family, where most is to be told.
func TestAnswersAreSmall(t *testing.T) {
	six := Server{Addrs: []netip.Addr{v6, v6.Next()}, Ports: [2]uint16{3478, 3479}}
	from6 := netip.MustParseAddrPort("[2001:db8::7]:40000")
	classic := append([]byte{0, 1, 0, 0}, "sixteen bytes ID"...)
	oldUnknown := append([]byte{0, 1, 0, 4}, "sixteen bytes ID\x7f\xfe\x00\x00"...)
	for name, question := range map[string][]byte{
		"bare":                        request(t),
		"fingerprint":                 request(t, stun.Fingerprint),
		"unknown":                     request(t, stun.RawAttribute{Type: 0x7ffe}),
		"unknown, many":               request(t, stun.RawAttribute{Type: 0x7ff1}, stun.RawAttribute{Type: 0x7ff2}, stun.RawAttribute{Type: 0x7ff3}),
		"to change":                   Request{ChangeIP: true, ChangePort: true}.Append(nil),
		"elsewhere":                   Request{ResponsePort: 9}.Append(nil),
		"padding":                     Request{Padding: 4}.Append(nil),
		"to change what there is not": request(t, stun.RawAttribute{Type: stun.AttrChangeRequest}),
		"RFC 3489":                    classic,
		"RFC 3489, unknown":           oldUnknown,
	} {
		for from, s := range map[netip.AddrPort]Server{client: both, from6: six} {
			for _, port := range []uint16{3478, 1935} {
				if r, ok := s.RespondTo(Received{Data: question, From: from, Local: at(s.Addrs[0], port), Alone: true}); ok {
					isSmall(t, question, r)
				} else if port == 3478 {
					t.Errorf("%s from %v: no answer", name, from)
				}
			}
		}
	}
}

func FuzzRespond(f *testing.F) {
	f.Add(Request{ChangeIP: true, ResponsePort: 9}.Append(nil))
	f.Add(Request{}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := both.Respond(b, client, at(a1, 3478))
		if !ok {
			return
		}
		if !IsMessage(r.Data) || r.To.Addr() != client.Addr() || !slices.Contains(both.Addrs, r.From.Addr()) {
			t.Errorf("%x from %v to %v", r.Data, r.From, r.To)
		}
		isSmall(t, b, r)
	})
}

func FuzzParseAnswer(f *testing.F) {
	r, _ := both.Respond(Request{}.Append(nil), client, at(a1, 3478))
	f.Add(r.Data)
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := ParseAnswer(b); err == nil && a.Code == 0 && !a.Seen.IsValid() {
			t.Error("success without an address")
		}
	})
}
