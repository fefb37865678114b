package rtmfp

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"
)

func TestCookie(t *testing.T) {
	now := time.Unix(1000, 0)
	j, err := newCookieJar(now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	here := netip.MustParseAddrPort("192.0.2.7:1024")
	cookie := j.append(nil, now, here)
	if len(cookie) != 64 {
		t.Fatalf("%d bytes", len(cookie))
	}
	check := func(name string, c []byte, after time.Duration, addr string, want cookieVerdict) {
		t.Helper()
		if got := j.check(c, now.Add(after), netip.MustParseAddrPort(addr)); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	check("fresh", cookie, 0, "192.0.2.7:1024", cookieValid)
	check("at the end", cookie, 100*time.Second, "192.0.2.7:1024", cookieValid)
	check("late", cookie, 102*time.Second, "192.0.2.7:1024", cookieExpired)
	check("other port", cookie, 0, "192.0.2.7:1025", cookieElsewhere)
	check("other host", cookie, 0, "192.0.2.8:1024", cookieElsewhere)
	check("other family", cookie, 0, "[2001:db8::1]:1024", cookieElsewhere)
	check("short", cookie[:63], 0, "192.0.2.7:1024", cookieForged)
	check("empty", nil, 0, "192.0.2.7:1024", cookieForged)
	for i := range cookie {
		bad := append([]byte(nil), cookie...)
		bad[i] ^= 1
		if v := j.check(bad, now, here); v == cookieValid {
			t.Errorf("byte %d may change", i)
		}
	}

	// A cookie made just before a rotation stays good for its whole life.
	late := now.Add(99 * time.Second)
	cookie = j.append(nil, late, here)
	j.append(nil, now.Add(101*time.Second), here)
	if v := j.check(cookie, late.Add(95*time.Second), here); v != cookieValid {
		t.Errorf("after one rotation: %v", v)
	}
	j.append(nil, now.Add(202*time.Second), here)
	j.append(nil, now.Add(303*time.Second), here)
	if v := j.check(cookie, late.Add(95*time.Second), here); v == cookieValid {
		t.Error("good after its keys were thrown away")
	}
}

func TestSeenFilter(t *testing.T) {
	var f seenFilter
	now := time.Unix(1000, 0)
	f.add(now, 1)
	if !f.has(now.Add(150*time.Second), 1) {
		t.Error("forgotten after 150 s, while a cookie could still be good")
	}
	if f.has(now.Add(500*time.Second), 1) {
		t.Error("kept for ever")
	}
	for i := range uint64(10 * maxSeenKeyings) {
		f.add(now.Add(501*time.Second), i)
	}
	if n := len(f.young) + len(f.old); n > 2*maxSeenKeyings {
		t.Errorf("%d kept", n)
	}
}

// However many are accepted, an IIKeying is remembered, or its cookie no longer taken.
func TestSeenFilterForgetsNoGoodCookie(t *testing.T) {
	e := newTestEngine(t)
	addr := netip.MustParseAddrPort("192.0.2.7:1024")
	type accepted struct {
		key    uint64
		cookie []byte
	}
	var some []accepted
	for i := range uint64(4 * maxSeenKeyings) {
		if i%1000 == 0 {
			e.now = e.now.Add(20 * time.Millisecond) // 50,000 a second
			some = append(some, accepted{i, e.cookies.append(nil, e.now, addr)})
		}
		if i > 0 && i%1000 == 999 {
			last := some[len(some)-1]
			if v := e.checkCookie(last.cookie, addr); v != cookieValid {
				t.Fatalf("a cookie just made is %v", v)
			}
		}
		e.seen.add(e.now, i)
	}
	retired := 0
	for _, a := range some {
		switch v := e.checkCookie(a.cookie, addr); {
		case v == cookieValid && !e.seen.has(e.now, a.key):
			t.Fatalf("keying %d is forgotten and its cookie good", a.key)
		case v != cookieValid:
			retired++
		}
	}
	if retired == 0 || retired == len(some) {
		t.Errorf("%d of %d cookies retired", retired, len(some))
	}
	if n := len(e.seen.young) + len(e.seen.old); n > 2*maxSeenKeyings {
		t.Errorf("%d kept", n)
	}
}
