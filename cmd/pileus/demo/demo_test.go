package demo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pileus/natprobe"
)

// recorder is an audience that remembers.
type recorder struct {
	peers   []Peer
	met     []Meeting
	limited []Limited
}

func (r *recorder) Classified(p Peer) { r.peers = append(r.peers, p) }
func (r *recorder) Met(m Meeting)     { r.met = append(r.met, m) }
func (r *recorder) Limited(l Limited) { r.limited = append(r.limited, l) }

// Everybody is classified rightly, and meets whom it can, each time and at any
// distance.
func TestDemo(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Millisecond, 60 * time.Millisecond, 150 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			var r recorder
			if err := Run(t.Context(), Config{Delay: delay}, &r); err != nil {
				t.Error(err)
			}
			if pairs := len(cast) * (len(cast) - 1) / 2; len(r.peers) != len(cast) || len(r.met) != pairs {
				t.Errorf("%d peers and %d meetings, want %d and %d", len(r.peers), len(r.met), len(cast), pairs)
			}
			if len(r.limited) != 1 || !r.limited[0].OK {
				t.Errorf("the limit: %+v", r.limited)
			}
			strategies := make(map[string]int)
			for _, m := range r.met {
				if !m.OK || m.Path == None {
					t.Errorf("%+v", m)
				}
				strategies[m.Strategy]++
			}
			for _, s := range []string{"public", "punch", "predict", "lan", "relay"} {
				if strategies[s] == 0 {
					t.Errorf("nobody shows the strategy %s: %v", s, strategies)
				}
			}
		})
	}
}

// What does not go as expected is said, in the result and to the audience.
func TestWrongExpectations(t *testing.T) {
	was := cast[0].class
	defer func() { cast[0].class = was }()
	cast[0].class = natprobe.SymmetricRandom
	var r recorder
	var text strings.Builder
	err := Run(t.Context(), Config{}, &both{&r, NewText(&text, 0)})
	if err == nil || !strings.Contains(err.Error(), "1 NATs were taken for another kind") || !strings.Contains(err.Error(), "meetings did not go as expected") {
		t.Errorf("%v", err)
	}
	if got := strings.Count(text.String(), "WRONG"); got < 3 {
		t.Errorf("told %d times:\n%s", got, &text)
	}
}

type both struct{ a, b Audience }

func (x *both) Classified(p Peer) { x.a.Classified(p); x.b.Classified(p) }
func (x *both) Met(m Meeting)     { x.a.Met(m); x.b.Met(m) }
func (x *both) Limited(l Limited) { x.a.Limited(l); x.b.Limited(l) }

// For an audience it takes some seconds, and never ten.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := Run(t.Context(), Config{Speed: 1.5}, &recorder{}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 4*time.Second || took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		if err := Run(ctx, Config{Speed: 1}, &recorder{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > 2100*time.Millisecond {
			t.Errorf("it went on for %v", took-2*time.Second)
		}
	})
}

func TestWrap(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "",
		"one two three":      "  one two\n  three\n",
		"antidisestablished": "  antidisestablished\n",
	} {
		if got := wrap(in, 2, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
