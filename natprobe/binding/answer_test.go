package binding

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pion/stun/v2"
)

// answered is an answer with these attributes, changed afterwards.
func answered(t *testing.T, class stun.MessageType, set []stun.Setter, change func([]byte) []byte) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{class, stun.NewTransactionIDSetter([12]byte{1, 2, 3})}, set...)...)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		return change(m.Raw)
	}
	return m.Raw
}

// address is the value of MAPPED-ADDRESS.
func address(family byte, port uint16, addr string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, family}, port)
	return append(b, netip.MustParseAddr(addr).AsSlice()...)
}

// What others' servers send, and what of it is to be read.
func TestOddAnswers(t *testing.T) {
	ok, failed := stun.BindingSuccess, stun.BindingError
	seen := netip.MustParseAddrPort("198.51.100.7:40000")
	xor := &stun.XORMappedAddress{IP: seen.Addr().AsSlice(), Port: 40000}
	plain := &stun.MappedAddress{IP: seen.Addr().AsSlice(), Port: 40000}
	raw := func(t stun.AttrType, v ...byte) stun.Setter { return stun.RawAttribute{Type: t, Value: v} }
	reason := func(class, number byte) stun.Setter { return raw(stun.AttrErrorCode, 0, 0, class, number) }
	noCookie := func(b []byte) []byte { clear(b[4:8]); return b }
	longer := func(by uint16) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.BigEndian.PutUint16(b[2:], binary.BigEndian.Uint16(b[2:])+by)
			return b
		}
	}
	good := Answer{Seen: seen}
	both := Answer{Seen: seen, Plain: seen}
	onlyPlain := Answer{Seen: seen, Plain: seen, Odd: []Oddity{PlainOnly}}
	for name, test := range map[string]struct {
		class  stun.MessageType
		set    []stun.Setter
		change func([]byte) []byte
		want   Answer
		fails  bool
	}{
		"as it should be":           {ok, []stun.Setter{xor, plain}, nil, both, false},
		"MAPPED-ADDRESS alone":      {ok, []stun.Setter{plain}, nil, onlyPlain, false},
		"an address twice":          {ok, []stun.Setter{xor, &stun.XORMappedAddress{IP: []byte{1, 2, 3, 4}, Port: 9}}, nil, good, false},
		"CHANGED-ADDRESS":           {ok, []stun.Setter{xor, raw(attrChangedAddress, address(1, 3479, "203.0.113.2")...)}, nil, Answer{Seen: seen, Other: netip.MustParseAddrPort("203.0.113.2:3479")}, false},
		"no cookie":                 {ok, []stun.Setter{xor, plain}, noCookie, Answer{Seen: seen, Plain: seen, Odd: []Oddity{WithoutCookie, PlainOnly}}, false},
		"no cookie, hidden alone":   {ok, []stun.Setter{xor}, noCookie, Answer{}, true},
		"cut behind the address":    {ok, []stun.Setter{xor, plain, stun.NewSoftware("a server")}, func(b []byte) []byte { return b[:50] }, Answer{Seen: seen, Plain: seen, Odd: []Oddity{CutOff}}, false},
		"cut in the address":        {ok, []stun.Setter{xor}, func(b []byte) []byte { return b[:28] }, Answer{}, true},
		"longer by its header":      {ok, []stun.Setter{xor}, longer(8), Answer{Seen: seen, Odd: []Oddity{CutOff}}, false},
		"odd length":                {ok, []stun.Setter{xor}, longer(1), Answer{Seen: seen, Odd: []Oddity{CutOff}}, false},
		"shorter by its header":     {ok, []stun.Setter{xor, plain}, longer(0xfff4), Answer{Seen: seen, Odd: []Oddity{Trailing}}, false},
		"no padding at the end":     {ok, []stun.Setter{xor, stun.NewSoftware("x")}, func(b []byte) []byte { return longer(0xfffd)(b[:len(b)-3]) }, good, false},
		"right fingerprint":         {ok, []stun.Setter{xor, stun.Fingerprint}, nil, good, false},
		"wrong fingerprint":         {ok, []stun.Setter{xor, stun.Fingerprint}, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, Answer{Seen: seen, Odd: []Oddity{WrongFingerprint}}, false},
		"short fingerprint":         {ok, []stun.Setter{xor, raw(stun.AttrFingerprint, 1)}, nil, Answer{Seen: seen, Odd: []Oddity{WrongFingerprint}}, false},
		"unknown, required":         {ok, []stun.Setter{xor, raw(0x7ffe, 1)}, nil, Answer{Seen: seen, Odd: []Oddity{UnknownRequired}}, false},
		"unknown, optional":         {ok, []stun.Setter{xor, raw(0xfffe, 1)}, nil, good, false},
		"family 3":                  {ok, []stun.Setter{raw(stun.AttrMappedAddress, address(3, 40000, "198.51.100.7")...)}, nil, Answer{}, true},
		"an address without family": {ok, []stun.Setter{raw(stun.AttrMappedAddress, 0)}, nil, Answer{}, true},
		"half an IPv6 address":      {ok, []stun.Setter{raw(stun.AttrMappedAddress, address(2, 40000, "198.51.100.7")...)}, nil, Answer{}, true},
		"IPv4 in IPv6":              {ok, []stun.Setter{raw(stun.AttrMappedAddress, address(2, 40000, "::ffff:198.51.100.7")...)}, nil, onlyPlain, false},
		"nobody's address":          {ok, []stun.Setter{raw(stun.AttrMappedAddress, address(1, 40000, "0.0.0.0")...)}, nil, Answer{}, true},
		"port zero":                 {ok, []stun.Setter{raw(stun.AttrMappedAddress, address(1, 0, "198.51.100.7")...)}, nil, Answer{}, true},
		"hidden is bad, plain good": {ok, []stun.Setter{raw(stun.AttrXORMappedAddress, 0), plain}, nil, Answer{Seen: seen, Plain: seen, Odd: []Oddity{NoAddress, PlainOnly}}, false},
		"nothing in it":             {ok, nil, nil, Answer{}, true},

		"error 401":           {failed, []stun.Setter{reason(4, 1)}, nil, Answer{Code: 401}, false},
		"error 300":           {failed, []stun.Setter{reason(3, 0), raw(stun.AttrAlternateServer, address(1, 3480, "203.0.113.9")...)}, nil, Answer{Code: 300, Alternate: netip.MustParseAddrPort("203.0.113.9:3480")}, false},
		"error 300, nowhere":  {failed, []stun.Setter{reason(3, 0)}, nil, Answer{Code: 300}, false},
		"error without":       {failed, nil, nil, Answer{Code: NoCode}, false},
		"error zero":          {failed, []stun.Setter{reason(0, 0)}, nil, Answer{Code: NoCode}, false},
		"error of class 7":    {failed, []stun.Setter{reason(7, 99)}, nil, Answer{Code: NoCode}, false},
		"error number 200":    {failed, []stun.Setter{reason(4, 200)}, nil, Answer{Code: NoCode}, false},
		"error, short code":   {failed, []stun.Setter{raw(stun.AttrErrorCode, 0, 0, 4)}, nil, Answer{Code: NoCode}, false},
		"error of no address": {failed, []stun.Setter{reason(4, 1), plain}, nil, Answer{Code: 401}, false},

		"an indication":       {stun.NewType(stun.MethodBinding, stun.ClassIndication), []stun.Setter{xor}, nil, Answer{}, true},
		"a request":           {stun.BindingRequest, nil, nil, Answer{}, true},
		"of another method":   {stun.NewType(stun.MethodAllocate, stun.ClassSuccessResponse), []stun.Setter{xor}, nil, Answer{}, true},
		"a packet of its own": {ok, nil, func([]byte) []byte { return []byte{0x80, 1, 2, 3} }, Answer{}, true},
	} {
		test.want.Transaction = Transaction{1, 2, 3}
		got, err := ParseAnswer(slices.Clip(answered(t, test.class, test.set, test.change)))
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
		if diff := cmp.Diff(test.want, got, same, cmpopts.EquateEmpty()); diff != "" && !test.fails {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A server of drafts hides the address in an attribute of another number.
func TestOldHiddenAddress(t *testing.T) {
	b := answered(t, stun.BindingSuccess, []stun.Setter{&stun.XORMappedAddress{IP: []byte{198, 51, 100, 7}, Port: 40000}}, func(b []byte) []byte {
		binary.BigEndian.PutUint16(b[20:], uint16(attrOldXORMapped))
		return b
	})
	if a, err := ParseAnswer(b); err != nil || a.Seen.String() != "198.51.100.7:40000" || len(a.Odd) > 0 {
		t.Errorf("%+v, %v", a, err)
	}
}
