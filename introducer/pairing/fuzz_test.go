package pairing

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"pileus/rtmfp/flash"
)

// Whatever a core says, with or without proof, in messages that each have their length
// before them: without proof nothing changes, and what is taken has its bounds.
func FuzzRegistration(f *testing.F) {
	message := func(list ...[]byte) (b []byte) {
		for _, m := range list {
			b = append(append(b, byte(len(m))), m...)
		}
		return b
	}
	settings := append([]byte{cmdSettings, 1, optReflexive, 8, optAddress}, 0, 192, 0, 2, 10, 7, 143)
	for _, proven := range []bool{false, true} {
		f.Add(proven, message(settings, []byte{cmdLoad, 0x81, 5}, []byte{cmdUser, 1}, []byte{cmdDrain}))
		f.Add(proven, message([]byte{cmdLoad, 1}, settings, append([]byte{cmdSettings}, bytes.Repeat(settings[3:], 20)...)))
		f.Add(proven, message(append(append([]byte{cmdAuth}, make([]byte, sha256.Size)...), "one"...), settings))
	}
	nonce, keys := []byte("a nonce of the session"), map[string]string{"one": "a password"}
	f.Fuzz(func(t *testing.T, proven bool, script []byte) {
		var r Registration
		if proven {
			h := hmac.New(sha256.New, []byte(keys["one"]))
			h.Write(nonce)
			if _, err := r.Take(append(append([]byte{cmdAuth}, h.Sum(nil)...), "one"...), nonce, keys); err != nil || r.KeyID != "one" {
				t.Fatal(r.KeyID, err)
			}
		}
		for len(script) > 0 {
			n := min(int(script[0]), len(script)-1)
			m := script[1 : 1+n]
			script = script[1+n:]
			was := r
			opened, err := r.Take(m, nonce, keys)
			if err != nil && (opened || fmt.Sprint(r) != fmt.Sprint(was)) {
				t.Fatalf("%x fails, and makes %+v of %+v", m, r, was)
			}
			if r.KeyID == "" && (opened || fmt.Sprint(r) != fmt.Sprint(Registration{})) {
				t.Fatalf("%x without proof: %+v", m, r)
			}
			if len(r.Addresses) > maxAdvertised || was.Draining && !r.Draining || was.Placed && !r.Placed {
				t.Fatalf("%x makes %+v of %+v", m, r, was)
			}
			for _, a := range r.Addresses {
				if !a.IsValid() || a.Addr().Is4In6() {
					t.Fatalf("%v is advertised", a)
				}
			}
		}
		if !r.Placed {
			return
		}
		p, from := NewPool(), netip.MustParseAddrPort("203.0.113.1:6000")
		c := &Core{Link: &link{id: 1, addr: "198.51.100.1:1935", heard: epoch}, Registration: &r, Since: epoch}
		p.Add(c)
		list := c.At(from, false)
		if len(list) > 1+maxAdvertised || slices.ContainsFunc(list, func(a netip.AddrPort) bool { return !a.Addr().Is4() }) {
			t.Fatalf("it is at %v", list)
		}
		if got := p.Choose(epoch, from, []byte("tag"), false); (got != nil) != (!r.Draining && len(list) > 0) {
			t.Fatalf("%+v is chosen: %v", r, got != nil)
		}
		if p.Find(flash.PeerID{1}) != c {
			t.Fatal("it is not found")
		}
	})
}

// answering answers every request alike.
type answering struct {
	status int
	body   []byte
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a.body)), Request: r}, nil
}

// Whatever a core answers: only a clear yes lets somebody in, and what is told a client is
// short text.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"allow": true}`, `{"allow": false, "reason": "too late"}`, `{"allow": "true"}`, `{"allow": 1}`, `{"allow": null}`, `true`, `[true]`,
		`{"reason": "x` + string(bytes.Repeat([]byte("ü€"), 99)) + `", "allow": false}`, "", "<html>", `{"allow": true} {"allow": false}`,
		`{"allow":false,"reason":"\ud800 \u0000"}`, "\xef\xbb\xbf{\"allow\":true}",
	} {
		for _, status := range []uint16{200, 204, 301, 403, 500} {
			f.Add(status, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		h, err := New(Config{URL: "http://core.test/hook", Secret: secret, Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		by := answering{int(status), body}
		h.sender.kept, h.sender.fresh = by, by
		v := h.ask(t.Context(), []byte("{}"))
		s := h.Stats()
		if s.Allowed+s.Refused+s.NoAnswer != 1 || v.Down != (s.NoAnswer == 1) || v.Allow != (s.Allowed == 1) {
			t.Fatalf("%+v, counted as %+v", v, s)
		}
		yes := status/100 == 2 && (bytes.Contains(bytes.ToLower(body), []byte("true")) || bytes.ContainsRune(body, '1') || bytes.Contains(body, []byte(`\u`)))
		if v.Allow && !yes {
			t.Fatalf("%d %q lets somebody in", status, body)
		}
		if len(v.Reason) > maxReason || !utf8.ValidString(v.Reason) {
			t.Fatalf("%d bytes are told: %q", len(v.Reason), v.Reason)
		}
	})
}
