package binding

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

// classicRequest is a Binding request as RFC 3489 has it.
func classicRequest(attributes ...[]byte) []byte {
	b := append([]byte{0, 1, 0, 0}, "sixteen bytes ID"...)
	for _, a := range attributes {
		b = append(b, a...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-headerLen))
	return b
}

func changeRequest(flags byte) []byte { return []byte{0, 3, 0, 4, 0, 0, 0, flags} }

// Clients of RFC 3489 are answered as it has it, and what cannot be done for them is met
// with silence.
func TestClassic(t *testing.T) {
	addr := func(typ byte, a netip.AddrPort) []byte {
		v := []byte{0, typ, 0, 8, 0, 1, byte(a.Port() >> 8), byte(a.Port())}
		return append(v, a.Addr().AsSlice()...)
	}
	ok := func(from netip.AddrPort, other ...netip.AddrPort) []byte {
		b := slices.Concat(addr(1, client), addr(4, from))
		for _, o := range other {
			b = append(b, addr(5, o)...)
		}
		return b
	}
	unknown := func(types ...byte) []byte {
		b := append([]byte{0, 9, 0, 24, 0, 0, 4, 20}, "Unknown Attribute   "...)
		b = append(b, 0, 10, 0, byte(2*len(types)))
		for _, t := range types {
			b = append(b, 0, t)
		}
		return b
	}
	for name, test := range map[string]struct {
		server  Server
		request []byte
		from    netip.AddrPort
		body    []byte // nil: silence
	}{
		"plain":                       {both, classicRequest(), at(a1, 3478), ok(at(a1, 3478), at(a2, 3479))},
		"without changes":             {both, classicRequest(changeRequest(0)), at(a1, 3478), ok(at(a1, 3478), at(a2, 3479))},
		"another address":             {both, classicRequest(changeRequest(changeIP)), at(a2, 3478), ok(at(a2, 3478), at(a2, 3479))},
		"another port":                {both, classicRequest(changeRequest(changePort)), at(a1, 3479), ok(at(a1, 3479), at(a2, 3479))},
		"another of both":             {both, classicRequest(changeRequest(changeIP | changePort)), at(a2, 3479), ok(at(a2, 3479), at(a2, 3479))},
		"one address":                 {single, classicRequest(), at(a1, 3478), ok(at(a1, 3478))},
		"one address, another port":   {single, classicRequest(changeRequest(changePort)), at(a1, 3479), ok(at(a1, 3479))},
		"one address, another wanted": {single, classicRequest(changeRequest(changeIP)), netip.AddrPort{}, nil},
		"no discovery":                {Server{}, classicRequest(), at(a1, 3478), ok(at(a1, 3478))},
		"no discovery, another port":  {Server{}, classicRequest(changeRequest(changePort)), netip.AddrPort{}, nil},
		"a user":                      {both, classicRequest([]byte{0, 6, 0, 4, 'u', 's', 'e', 'r'}), at(a1, 3478), ok(at(a1, 3478), at(a2, 3479))},
		"a reflection":                {both, classicRequest(addr(2, client)), at(a1, 3478), unknown(2, 2)},
		"two that nobody knows":       {both, classicRequest([]byte{0, 0x20, 0, 0}, []byte{0, 0x21, 0, 0}), at(a1, 3478), unknown(0x20, 0x21)},
		"one that need not be known":  {both, classicRequest([]byte{0x80, 0x22, 0, 0}), at(a1, 3478), ok(at(a1, 3478), at(a2, 3479))},
		"a change of no length":       {both, classicRequest([]byte{0, 3, 0, 0}), netip.AddrPort{}, nil},
		"cut off":                     {both, classicRequest([]byte{0, 3, 0, 9}), netip.AddrPort{}, nil},
		"not a request":               {both, append([]byte{1, 1}, classicRequest()[2:]...), netip.AddrPort{}, nil},
		"of another length":           {both, append(classicRequest(), 0, 0, 0, 0), netip.AddrPort{}, nil},
	} {
		r, answered := test.server.RespondTo(Received{Data: test.request, From: client, Local: at(a1, 3478), Alone: true})
		if answered != (test.body != nil) {
			t.Errorf("%s: %t, %x", name, answered, r.Data)
			continue
		}
		if !answered {
			continue
		}
		if r.From != test.from || r.To != client {
			t.Errorf("%s: from %v to %v", name, r.From, r.To)
		}
		kind := byte(1)
		if test.body[1] == 9 {
			kind = 0x11
		}
		want := append([]byte{1, kind, 0, byte(len(test.body))}, "sixteen bytes ID"...)
		if want = append(want, test.body...); !bytes.Equal(r.Data, want) {
			t.Errorf("%s: %x\nwant %x", name, r.Data, want)
		}
	}
	// Where other protocols come in too, only the cookie tells.
	if r, ok := both.Respond(classicRequest(), client, at(a1, 3478)); ok {
		t.Errorf("answered beside others: %x", r.Data)
	}
}

// An answer to RFC 3489 is one that this package reads.
func TestClassicIsRead(t *testing.T) {
	r, _ := both.RespondTo(Received{Data: classicRequest(), From: client, Local: at(a1, 3478), Alone: true})
	a, err := ParseAnswer(r.Data)
	if err != nil || a.Seen != client || a.Other != at(a2, 3479) {
		t.Errorf("%+v, %v", a, err)
	}
}

func FuzzClassic(f *testing.F) {
	f.Add(classicRequest(changeRequest(changeIP | changePort)))
	f.Add(classicRequest([]byte{0, 2, 0, 8, 0, 1, 0, 9, 1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := both.RespondTo(Received{Data: b, From: client, Local: at(a1, 3478), Alone: true})
		if !ok || IsMessage(b) {
			return
		}
		if len(r.Data)%4 != 0 || len(r.Data) > 4*len(b) || r.To != client || !slices.Contains(both.Addrs, r.From.Addr()) {
			t.Errorf("%x from %v to %v", r.Data, r.From, r.To)
		}
		if binary.BigEndian.Uint16(r.Data[2:]) != uint16(len(r.Data)-headerLen) {
			t.Errorf("%x says another length", r.Data)
		}
	})
}
