package api

import (
	"bufio"
	"context"
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

func TestStream(t *testing.T) {
	h := newHarness()
	server := httptest.NewServer(h)
	defer server.Close()
	d := readDocument(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+prefix+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+acmeToken)
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Scan() // it is open now
	events(h.recorder)
	names := []string{}
	for len(names) < 6 && lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			names = append(names, name)
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			h.fits(t, d, "event", schema{Ref: "#/components/schemas/Event"}, data)
			if strings.Contains(data, "other") {
				t.Errorf("another tenant's: %s", data)
			}
		}
	}
	if got := strings.Join(names, " "); got != "connect classified introduced outcome relayed closed" {
		t.Errorf("%s", got)
	}
	h.recorder.Record(introducer.Event{Kind: introducer.PeerClosed, Peer: introducer.PeerInfo{Tenant: "acme"}})
}
