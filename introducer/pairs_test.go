package introducer

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pileus/introducer/strategy"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
)

// Another tag for a pair means a failure, after a second and within two minutes,
// unless the two met or nothing was tried.
func TestRetried(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	p := &Peer{session: new(rtmfp.Session)}
	for _, c := range []struct {
		name  string
		tag   string
		after time.Duration
		trial trial
		want  bool
	}{
		{"another tag", "b", time.Second, trial{}, true},
		{"the same tag", "a", time.Second, trial{}, false},
		{"too soon to know", "b", retriedAfter - 1, trial{}, false},
		{"late", "b", retriedWithin + time.Second, trial{}, false},
		{"they met", "b", time.Second, trial{met: true}, false},
		{"refused", "b", time.Second, trial{strategy: strategy.Refuse}, false},
		{"relayed", "b", time.Second, trial{strategy: strategy.Relay}, true},
	} {
		m := newPairs()
		c.trial.tag, c.trial.at = "a", now
		m.began(&c.trial, netip.Addr{})
		if got := m.retried(now.Add(c.after), p, p, []byte(c.tag)); (got != nil) != c.want {
			t.Errorf("%s: %v, want %v", c.name, got != nil, c.want)
		}
	}
	m := newPairs()
	m.began(&trial{tag: "a", at: now}, netip.Addr{})
	if m.retried(now, nil, p, []byte("b")) != nil {
		t.Error("an anonymous initiator is taken for another")
	}
}

// The oldest pairs give way, and anonymous initiators take no place.
func TestPairsAreBounded(t *testing.T) {
	m := newPairs()
	for i := range maxPairs + 10 {
		m.began(&trial{initiator: flash.PeerID{byte(i), byte(i >> 8), byte(i >> 16)}, tag: fmt.Sprint(i)}, netip.Addr{})
		m.began(&trial{anonymous: true, target: flash.PeerID{byte(i), byte(i >> 8), byte(i >> 16)}}, netip.Addr{})
	}
	if m.cache.Len() != maxPairs {
		t.Errorf("%d pairs", m.cache.Len())
	}
	if m.of(flash.PeerID{}, flash.PeerID{}) != nil || m.latest(flash.PeerID{10}, flash.PeerID{}) == nil {
		t.Error("not the oldest were forgotten")
	}
}
