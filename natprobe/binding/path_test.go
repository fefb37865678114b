package binding

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPathTest(t *testing.T) {
	for _, port := range []uint16{3478, 1935} { // with discovery, and without
		for _, hasTOS := range []bool{true, false} {
			req := Request{Transaction: Transaction{1}, Path: &PathTest{TOS: 0xb8}, Size: 100}.Append(nil)
			r, ok := both.RespondTo(Received{Data: req, From: client, Local: at(a1, port), TOS: 0x02, HasTOS: hasTOS})
			if !ok || (r.TOS == 0xb8) != hasTOS || len(req) != 100 || len(r.Data) > 2*len(req) {
				t.Fatalf("port %d: %+v, %t, of %d bytes", port, r, ok, len(req))
			}
			a, err := ParseAnswer(r.Data)
			var want *PathResult
			if hasTOS {
				want = &PathResult{TOS: 0x02, Bytes: 100}
			}
			if diff := cmp.Diff(want, a.Path); err != nil || diff != "" {
				t.Errorf("port %d: %v %s", port, err, diff)
			}
		}
	}
	r, ok := both.Respond(Request{Transaction: Transaction{1}}.Append(nil), client, at(a1, 3478))
	if a, err := ParseAnswer(r.Data); !ok || err != nil || a.Path != nil || r.TOS != 0 {
		t.Errorf("unasked: %+v %+v", r, a)
	}
}

// Every length of packet can be made, and is answered where discovery is served.
func TestEveryLength(t *testing.T) {
	for size := MinSize; size < MinSize+8; size++ {
		req := Request{Size: size - size%4, Trailing: size % 4}.Append(nil)
		if len(req) != size {
			t.Errorf("%d bytes, want %d", len(req), size)
		}
		if _, ok := both.Respond(req, client, at(a1, 3478)); !ok {
			t.Errorf("no answer to %d bytes", size)
		}
		if _, ok := both.Respond(req, client, at(a1, 1935)); ok != (size%4 == 0) {
			t.Errorf("beside RTMFP, %d bytes: answered %t", size, ok)
		}
	}
	if req := append((Request{}).Append(nil), 0, 0, 0, 0); len(Trimmed(req)) != len(req) {
		t.Error("a whole attribute behind the message is no padding")
	}
}

func TestDescribe(t *testing.T) {
	req := Request{Path: &PathTest{TOS: 1}}.Append(nil)
	r, _ := both.RespondTo(Received{Data: req, From: client, Local: at(a1, 3478), TOS: 3, HasTOS: true})
	refused, _ := Server{}.Respond(Request{ChangeIP: true}.Append(nil), client, at(a1, 3478))
	for want, b := range map[string][]byte{
		"3 bytes that are no STUN": {1, 2, 3},
		"an empty packet":          {},
		"Binding request":          req,
		"Binding error 420, an attribute of the request is not known":                                   refused.Data,
		"Binding success: seen as 192.0.2.7:40000; other address 203.0.113.2:3479; asked with TOS 0x03": r.Data,
	} {
		if got := Describe(b); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Whoever asks for it is answered in exactly the length of the request, and never in
// more than any answer has.
func TestWhole(t *testing.T) {
	ask := func(size, trailing int, set ...func(*Received)) (Response, Answer) {
		t.Helper()
		d := Received{
			Data: Request{Path: &PathTest{TOS: 0x20, Whole: true}, Size: size, Trailing: trailing}.Append(nil),
			From: client, Local: at(a1, 3478), HasTOS: true, CanBeWhole: true,
		}
		for _, f := range set {
			f(&d)
		}
		r, ok := both.RespondTo(d)
		if !ok {
			t.Fatalf("%d bytes: no answer", len(d.Data))
		}
		a, err := ParseAnswer(Trimmed(r.Data))
		if err != nil {
			t.Fatalf("%d bytes: %v", len(d.Data), err)
		}
		return r, a
	}
	usual, _ := ask(MinSize, 0, func(d *Received) { d.CanBeWhole = false })
	for size := 32; size <= 1472; size += 4 {
		for trailing := range 4 {
			r, a := ask(size, trailing)
			whole := size+trailing >= len(usual.Data)
			want := max(size+trailing, len(usual.Data))
			if r.Whole != whole || a.Path.Whole != whole || len(r.Data) != want || a.Path.Bytes != size+trailing || r.TOS != 0x20 {
				t.Fatalf("%d and %d bytes: %d, %v %+v", size, trailing, len(r.Data), r.Whole, a.Path)
			}
		}
	}
	for name, set := range map[string]func(*Received){
		"a socket that cannot": func(d *Received) { d.CanBeWhole = false },
		"answered from elsewhere": func(d *Received) {
			d.Data = Request{Path: &PathTest{Whole: true}, ChangePort: true, Size: 600}.Append(nil)
		},
		"answered to elsewhere": func(d *Received) {
			d.Data = Request{Path: &PathTest{Whole: true}, ResponsePort: 9, Size: 600}.Append(nil)
		},
	} {
		if r, a := ask(600, 0, set); r.Whole || a.Path.Whole || len(r.Data) >= 200 {
			t.Errorf("%s: %d bytes, %v", name, len(r.Data), r.Whole)
		}
	}
}
