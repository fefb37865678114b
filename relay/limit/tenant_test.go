package limit

import (
	"errors"
	"testing"
	"time"
	"unsafe"
)

// A tenant with a limit of its own has that one, from a reload on as well; others
// have the limit of all tenants.
func TestTenantsOwnBandwidth(t *testing.T) {
	const mbit = 1_000_000
	w := newWorld(Config{Tenant: 2 * mbit, Tenants: map[string]TenantLimits{"large": {Rate: 6 * mbit}}})
	large := w.add(w.open(t, "", "large"), sender{rate: 10 * mbit})
	small := w.add(w.open(t, "", "small"), sender{rate: 10 * mbit})
	rate := func(s *sender, during time.Duration) float64 {
		before := s.bytes
		w.run(during)
		return float64(8*(s.bytes-before)) / during.Seconds() / mbit
	}
	near := func(who string, got, want float64) {
		t.Helper()
		if got < 0.9*want || got > 1.1*want {
			t.Errorf("%s has %.2f Mbit/s, want %.0f", who, got, want)
		}
	}
	w.run(time.Second)
	near("large", rate(large, 2*time.Second), 6)
	near("small", rate(small, 2*time.Second), 2)
	w.c.Reload(Config{Tenant: 2 * mbit, Tenants: map[string]TenantLimits{"small": {Rate: 4 * mbit}}})
	w.run(time.Second)
	near("large, reloaded", rate(large, 2*time.Second), 2)
	near("small, reloaded", rate(small, 2*time.Second), 4)
}

func TestTenantsOwnQuotas(t *testing.T) {
	c := New(Config{Tenants: map[string]TenantLimits{"acme": {Pairs: 1, BytesPerDay: 1}}}, nil)
	open := func(tenant, a, b string) (*Pair, error) {
		return c.Open(start, Splice, Party{Peer: a, Tenant: tenant}, Party{Peer: b, Tenant: tenant})
	}
	wants := func(err error, want QuotaName) {
		t.Helper()
		var quota *QuotaError
		if !errors.As(err, &quota) || quota.Quota != want || quota.Party.Tenant != "acme" {
			t.Errorf("%v, want %v", err, want)
		}
	}
	first, err := open("acme", "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	_, err = open("acme", "c", "d")
	wants(err, QuotaTenant)
	for _, peers := range [][2]string{{"a", "b"}, {"c", "d"}} {
		if _, err := open("other", peers[0], peers[1]); err != nil {
			t.Errorf("another tenant: %v", err)
		}
	}
	first.Forward.Offer(start, 100)
	first.Close(start)
	_, err = open("acme", "a", "b")
	wants(err, QuotaTenantBytes)
	c.Reload(Config{})
	if _, err := open("acme", "a", "b"); err != nil {
		t.Errorf("after the limits are gone: %v", err)
	}
}

// A day's bytes begin anew with a UTC day, by the wall clock alone: one that is set forwards begins the day that it
// shows, one that is set back gives nobody the bytes of a day once more.
func TestDayFollowsTheWallClock(t *testing.T) {
	wall := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	cfg := Config{Wall: func() time.Time { return wall }}
	cfg.BytesPerDay.Peer = 1000
	c := New(cfg, nil)
	now := start
	open := func() error {
		now = now.Add(time.Minute)
		p, err := c.Open(now, Splice, Party{Peer: "a", Tenant: "t"}, Party{Peer: "b", Tenant: "t"})
		if err != nil {
			return err
		}
		p.Forward.Offer(now, 2000)
		p.Close(now)
		return nil
	}
	for _, step := range []struct {
		what string
		to   time.Time
		ok   bool
	}{
		{"the first", wall, true},
		{"its bytes are used up", wall.Add(time.Minute), false},
		{"an hour back", wall.Add(-time.Hour), false},
		{"a day back", wall.Add(-24 * time.Hour), false},
		{"right again", wall.Add(time.Minute), true}, // a day after the one that it was set back to
		{"used up again", wall.Add(time.Hour), false},
		{"the next day", wall.Add(12 * time.Hour), true},
		{"a day ahead", wall.Add(36 * time.Hour), true},
		{"right again", wall.Add(13 * time.Hour), false},
		{"and the day after", wall.Add(37 * time.Hour), true},
	} {
		wall = step.to
		if err := open(); (err == nil) != step.ok {
			t.Errorf("%s: %v", step.what, err)
		}
	}
	// A day of the times that it is given begins nothing.
	now = now.Add(48 * time.Hour)
	if err := open(); err == nil {
		t.Error("bytes are counted by another clock")
	}
}

// stepped is t with its wall clock set by d, as the system does it: the monotonic reading goes on.
func stepped(t time.Time, d time.Duration) time.Time {
	// The layout of time.Time: seconds are in the upper bits of the first word, if there is a monotonic reading.
	p := (*struct {
		wall uint64
		ext  int64
	})(unsafe.Pointer(&t))
	p.wall = uint64(int64(p.wall) + int64(d/time.Second)<<30)
	return t
}

// A clock that is set holds no flow up, and lets none run ahead.
func TestFlowsIgnoreTheWallClock(t *testing.T) {
	now := time.Now()
	if s := stepped(now, time.Hour); s.Sub(now) != 0 || s.Unix() != now.Unix()+3600 {
		t.Fatalf("the layout of time.Time is another: %v, %v", s, now)
	}
	for _, step := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour} {
		c := New(Config{Splice: 1e6}, nil) // 125 bytes a millisecond
		p, err := c.Open(now, Splice, Party{Peer: "a"}, Party{Peer: "b"})
		if err != nil {
			t.Fatal(err)
		}
		passed := 0
		for ms := range 2000 {
			at := now.Add(time.Duration(ms) * time.Millisecond)
			if ms >= 1000 {
				at = stepped(at, step)
			}
			if p.Forward.Offer(at, 125) == Pass && ms >= 1000 {
				passed++
			}
		}
		if passed < 990 || passed > 1010 {
			t.Errorf("clock set by %v: %d packets passed of 1000 that are due", step, passed)
		}
		for range 100 {
			p.Forward.Push(stepped(now.Add(2*time.Second), step), make([]byte, 100), 128, 2)
		}
		if wait := p.Forward.Deadline().Sub(stepped(now.Add(2*time.Second), step)); wait > time.Second {
			t.Errorf("clock set by %v: a packet is due in %v", step, wait)
		}
	}
}
