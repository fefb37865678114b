package introducer

import (
	"fmt"
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
		var m pairs
		c.trial.tag, c.trial.at = "a", now
		m.began(&c.trial)
		if got := m.retried(now.Add(c.after), p, p, []byte(c.tag)); (got != nil) != c.want {
			t.Errorf("%s: %v, want %v", c.name, got != nil, c.want)
		}
	}
	var m pairs
	m.began(&trial{tag: "a", at: now})
	if m.retried(now, nil, p, []byte("b")) != nil {
		t.Error("an anonymous initiator is taken for another")
	}
}

// The oldest pairs give way, and anonymous initiators take no place.
func TestPairsAreBounded(t *testing.T) {
	var m pairs
	for i := range maxPairs + 10 {
		m.began(&trial{initiator: flash.PeerID{byte(i), byte(i >> 8), byte(i >> 16)}, tag: fmt.Sprint(i)})
		m.began(&trial{anonymous: true, target: flash.PeerID{byte(i), byte(i >> 8), byte(i >> 16)}})
	}
	if len(m.byKey) != maxPairs || len(m.order) != maxPairs {
		t.Errorf("%d pairs, %d in order", len(m.byKey), len(m.order))
	}
	if m.byKey[pairKey{}] != nil || m.latest(flash.PeerID{10}, flash.PeerID{}) == nil {
		t.Error("not the oldest were forgotten")
	}
}
