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
	if req := append((Request{}).Append(nil), 0, 0, 0, 0); len(trimmed(req)) != len(req) {
		t.Error("a whole attribute behind the message is no padding")
	}
}

func TestDescribe(t *testing.T) {
	req := Request{Path: &PathTest{TOS: 1}}.Append(nil)
	r, _ := both.RespondTo(Received{Data: req, From: client, Local: at(a1, 3478), TOS: 3, HasTOS: true})
	refused, _ := Server{}.Respond(Request{ChangeIP: true}.Append(nil), client, at(a1, 3478))
	for want, b := range map[string][]byte{
		"not STUN":          {1, 2, 3},
		"Binding request":   req,
		"Binding error 420": refused.Data,
		"Binding success: seen as 192.0.2.7:40000; other address 203.0.113.2:3479; asked with TOS 0x03": r.Data,
	} {
		if got := Describe(b); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
