package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pileus/introducer"
)

func TestRecorderIsBounded(t *testing.T) {
	r := NewRecorder()
	who := scope{operator: true}
	slow := r.follow(who)
	for i := range 3 * maxIntroductions {
		r.Record(introducer.Event{
			Kind: introducer.PeersIntroduced, At: began.Add(time.Duration(i) * historyStep),
			Peer: introducer.PeerInfo{ID: peerID(byte(i))}, Target: introducer.PeerInfo{Tenant: fmt.Sprint(i)},
		})
	}
	if n := len(r.recent(who, "", 1<<20)); n != maxIntroductions {
		t.Errorf("%d introductions are kept", n)
	}
	if n := len(r.tallies); n != maxTallies {
		t.Errorf("%d tallies", n)
	}
	n := 0
	for range slow { // it was closed
		n++
	}
	if n != maxBacklog {
		t.Errorf("a slow listener got %d events", n)
	}
	for range maxStreams {
		if r.follow(who) == nil {
			t.Fatal("no stream")
		}
	}
	if r.follow(who) != nil {
		t.Error("more streams than there may be")
	}
}

// However many streams one tenant follows, there are some for others.
func TestStreamsAreShared(t *testing.T) {
	r := NewRecorder()
	everything := func(*NameEvent) bool { return true }
	count := func(s scope) (n int) {
		for r.follow(s) != nil && n < 1000 {
			n++
			if r.followNames(s, everything) != nil {
				n++
			}
		}
		return n
	}
	for _, test := range []struct {
		who  scope
		want int
	}{
		{scope{tenant: "acme"}, maxTenantStreams}, {scope{tenant: "other"}, maxTenantStreams}, {scope{operator: true}, maxStreams},
	} {
		if n := count(test.who); n != test.want {
			t.Errorf("%+v: %d streams, want %d", test.who, n, test.want)
		}
	}
}

// follow reads a stream of the API: what it gives are the events' names and data.
func (h *harness) follow(t *testing.T, path, token string) func() (name, data string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+prefix+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Scan() // it is open now
	return func() (name, data string) {
		for lines.Scan() {
			if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = n
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return name, data
			}
		}
		return "", ""
	}
}

// A stream of names begins with who is there, and tells what changes of that,
// and of that tenant, alone.
func TestNameStream(t *testing.T) {
	d := readDocument(t)
	for _, test := range []struct {
		path, token string
		held        int
		want        string
	}{
		{"/names/events?name=acme's", acmeToken, 1, "came acme's, went acme's"},
		{"/names/events?name=nobody", acmeToken, 0, "came nobody"},
		{"/names/events", acmeToken, 1, "came acme's, changed acid, came nobody, went acme's"},
		{"/names/events?prefix=ac", acmeToken, 1, "came acme's, changed acid, went acme's"},
		{"/names/events?tenant=other", operatorToken, 1, "came acme's, came other's"},
		{"/names/events?tenant=nothing", operatorToken, 1, ""},
	} {
		h := newHarness()
		next := h.follow(t, test.path, test.token)
		name, data := next()
		var held Names
		if err := json.Unmarshal([]byte(data), &held); err != nil || name != "names" || len(held.Names) != test.held {
			t.Errorf("%s: begins with %s %s", test.path, name, data)
		}
		h.fits(t, d, "names", schema{Ref: "#/components/schemas/Names"}, data)
		change := func(tenant, name string, c introducer.Change) {
			h.recorder.Record(introducer.Event{
				Kind: introducer.NameChanged, At: began, Name: name, Change: c, Peer: introducer.PeerInfo{ID: peerID(1), Tenant: tenant},
			})
		}
		change("acme", "acme's", introducer.NameCame)
		change("other", "acme's", introducer.NameCame) // the same name elsewhere
		change("acme", "acid", introducer.NamePassed)
		change("acme", "nobody", introducer.NameCame)
		change("other", "other's", introducer.NameCame)
		change("acme", "acme's", introducer.NameWent)
		events(h.recorder) // none of its business
		var got []string
		for range strings.Count(test.want, ",") + min(1, len(test.want)) {
			name, data := next()
			var e NameEvent
			if err := json.Unmarshal([]byte(data), &e); err != nil || e.Event != name {
				t.Errorf("%s: %s %s", test.path, name, data)
			}
			h.fits(t, d, "event", schema{Ref: "#/components/schemas/NameEvent"}, data)
			got = append(got, e.Event+" "+e.Name)
		}
		if s := strings.Join(got, ", "); s != test.want {
			t.Errorf("%s: %q, want %q", test.path, s, test.want)
		}
	}
}

func TestStream(t *testing.T) {
	h := newHarness()
	d := readDocument(t)
	next := h.follow(t, "/events", acmeToken)
	h.recorder.Record(introducer.Event{Kind: introducer.NameChanged, Peer: introducer.PeerInfo{Tenant: "acme"}}) // has streams of its own
	events(h.recorder)
	names := []string{}
	for len(names) < 6 {
		name, data := next()
		names = append(names, name)
		h.fits(t, d, "event", schema{Ref: "#/components/schemas/Event"}, data)
		if strings.Contains(data, "other") {
			t.Errorf("another tenant's: %s", data)
		}
	}
	if got := strings.Join(names, " "); got != "connect classified introduced outcome relayed closed" {
		t.Errorf("%s", got)
	}
}
