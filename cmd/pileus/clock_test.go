package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pileus/introducer/pairing"
	"pileus/introducer/tenant"
	"pileus/relay/turn"
	"pileus/rtmfp/amf"
)

// movable is a clock that is set while a node runs.
type movable struct{ off atomic.Int64 }

func (m *movable) now() time.Time { return time.Now().Add(time.Duration(m.off.Load())) }

// The clock of the machine is set, by an hour or a day, this way or that, while a node runs: who goes by it is judged by
// what it shows now, and who is here stays. (What a day's bytes are is tested with the limits.)
func TestClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			wall := new(movable)
			var stamp atomic.Int64
			core := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				at, _ := strconv.ParseInt(r.Header.Get(pairing.HeaderTimestamp), 10, 64)
				stamp.Store(at)
				_, _ = io.WriteString(w, `{"allow": true}`)
			}))
			defer core.Close()
			p := free(t, 1)
			cfg, err := load(config(t, "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {ports: off, extra: []}\nstun: {ports: []}\nlog: {level: error}\n"+
				"admin: {listen: off}\nturn: {listen: ["+p[0]+"], secrets: ["+testSecret+"]}\nhooks: {url: '"+core.URL+"', secret: "+testSecret+", tell: []}\n"+
				"tenants: {acme: {keys: [k], token: require, secret: "+testSecret+"}}\n"))
			if err != nil {
				t.Fatal(err)
			}
			n, err := build(cfg, discardLogger(), wall.now)
			if err != nil {
				t.Fatal(err)
			}
			polite, end := context.WithCancel(t.Context())
			n.operator.drain.end = end
			if err := n.open(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- n.serve(polite, context.WithoutCancel(t.Context())) }()
			defer func() {
				end()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			uri := "rtmfp://" + n.endpoint.Addrs()[0].String() + "/k/app"
			token := func(now time.Time) amf.Value {
				text, err := tenant.Token{Tenant: "acme"}.Issue([]byte(testSecret), now, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				return amf.String(text)
			}
			// A name that is good for ten minutes from a time on, and what it gets.
			relay := func(now time.Time) (io.Closer, error) {
				name := strconv.FormatInt(now.Add(10*time.Minute).Unix(), 10) + ":ann"
				return allocation(t, "127.0.0.1:"+p[0], name, turn.Password(testSecret, name))
			}
			here := connects(t, uri, token(wall.now()))
			if !here.connected() {
				t.Fatal(here.why())
			}
			kept, err := relay(wall.now())
			if err != nil {
				t.Fatal(err)
			}

			before := wall.now()
			wall.off.Store(int64(step))

			if c := connects(t, uri, token(wall.now())); !c.connected() {
				t.Errorf("a token of now is refused: %s", c.why())
			}
			if at := stamp.Load(); at < wall.now().Unix()-60 || at > wall.now().Unix() {
				t.Errorf("a hook is signed with %d, and it is %d", at, wall.now().Unix())
			}
			want := "expired"
			if step < 0 {
				want = "more than five minutes"
			}
			if c := connects(t, uri, token(before)); c.connected() || !strings.Contains(c.why(), want) {
				t.Errorf("a token of before: connected %t, %s, want %q", c.connected(), c.why(), want)
			}
			if r, err := relay(wall.now()); err != nil {
				t.Errorf("a name of now is refused: %v", err)
			} else {
				r.Close()
			}
			if r, err := relay(before); (err == nil) != (step < 0) {
				t.Errorf("a name of before: %v", err)
			} else if err == nil {
				r.Close()
			}
			// Who is here stays: the name of an allocation may expire meanwhile.
			if !here.connected() {
				t.Errorf("a client was lost: %s", here.why())
			}
			if err := kept.Close(); err != nil { // a Refresh with lifetime 0, under the old name
				t.Errorf("the allocation of before cannot be ended: %v", err)
			}
		})
	}
}

// The node's own certificates are judged by its clock, too: it speaks of them before they expire, and after.
func TestCertificatesExpire(t *testing.T) {
	cert, key := selfSigned(t) // good for an hour
	cfg, err := load(config(t, "turn: {tls: {cert: "+cert+", key: "+key+"}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := readCertificates(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wall := new(movable)
	for _, test := range []struct {
		step time.Duration
		want string
	}{
		{0, "turn.tls: the certificate expires at "},
		{2 * time.Hour, "turn.tls: the certificate has expired at "},
		{24 * time.Hour, "turn.tls: the certificate has expired at "},
		{-time.Hour, "turn.tls: the certificate expires at "},
		{-24 * 30 * time.Hour, ""},
	} {
		wall.off.Store(int64(test.step))
		if got := strings.Join(all.expiring(wall.now()), "\n"); !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("clock set by %v: %q, want %q", test.step, got, test.want)
		}
	}
}
