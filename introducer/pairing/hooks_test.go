package pairing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = []byte("0123456789abcdef")

// core is a core server in memory: answer decides about each hook, after its
// signature was found right.
type core struct {
	t      *testing.T
	mu     sync.Mutex
	down   bool
	bodies []string
	answer func(body string) (status int, text string)
	header http.Header // of its answers
}

func (c *core) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	down := c.down
	c.mu.Unlock()
	if down {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := NewReceiver(secret).Check(time.Now(), r.Header, body); err != nil {
		c.t.Errorf("%v: %s", err, body)
	}
	status, text := c.answer(string(body))
	if status/100 == 2 {
		c.bodies = append(c.bodies, string(body))
	}
	return &http.Response{StatusCode: status, Header: c.header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func (c *core) set(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

func start(t *testing.T, c *core, cfg Config) *Hooks {
	t.Helper()
	c.t = t
	cfg.URL, cfg.Secret = "http://core.test/hook", secret
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.sender.kept, h.sender.fresh = c, c
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return h
}

func put(h *Hooks, body any) Verdict {
	got := make(chan Verdict, 1)
	if v, ok := h.Ask(body, func(v Verdict) { got <- v }); ok {
		return v
	}
	return <-got
}

func TestAsk(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		status       int
		want         Verdict
	}{
		{"yes", `{"allow":true}`, 200, Verdict{Allow: true}},
		{"no", `{"allow":false,"reason":"banned"}`, 200, Verdict{Reason: "banned"}},
		{"long", `{"allow":false,"reason":"` + strings.Repeat("x", 300) + `"}`, 200, Verdict{Reason: strings.Repeat("x", maxReason)}},
		{"no verdict", `{}`, 200, Verdict{Down: true}},
		{"no JSON", `yes`, 200, Verdict{Down: true}},
		{"error", `{"allow":true}`, 500, Verdict{Down: true}},
		{"redirected", `{"allow":true}`, 302, Verdict{Down: true}},
		{"endless", strings.Repeat(" ", maxAnswer) + `{"allow":true}`, 200, Verdict{Down: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, &core{answer: func(string) (int, string) { return test.status, test.answer }}, Config{})
				got := put(h, map[string]string{"event": "connect"})
				if got.Down {
					got.Reason = ""
				}
				if got != test.want {
					t.Errorf("%+v, want %+v", got, test.want)
				}
			})
		})
	}
}

// A core that hangs costs a few clients its timeout; then the configured verdict
// comes at once, and as soon as the core is back it decides again.
func TestCoreDown(t *testing.T) {
	for _, allow := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := &core{answer: func(string) (int, string) { return 200, `{"allow":true}` }, down: true}
			h := start(t, c, Config{AllowWhenDown: allow})
			began, slow := time.Now(), 0
			for time.Since(began) < 30*time.Second {
				at := time.Now()
				if v := put(h, 1); v.Allow != allow || !v.Down {
					t.Fatalf("%+v", v)
				}
				if d := time.Since(at); d > 2*time.Second {
					t.Fatalf("%v", d)
				} else if d > 0 {
					slow++
				}
				time.Sleep(100 * time.Millisecond)
			}
			if slow > 20 {
				t.Errorf("%d clients waited", slow)
			}
			c.set(false)
			time.Sleep(breakFor)
			if v := put(h, 1); !v.Allow || v.Down {
				t.Errorf("after: %+v", v)
			}
		})
	}
}

func TestTooManyQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &core{down: true}, Config{})
		var mu sync.Mutex
		answers := 0
		for range 3 * maxWaiting {
			count := func(Verdict) { mu.Lock(); answers++; mu.Unlock() }
			if v, ok := h.Ask(1, count); ok {
				count(v)
			}
		}
		time.Sleep(2 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if answers != 3*maxWaiting || h.Stats().Shed == 0 {
			t.Errorf("%d answers, %+v", answers, h.Stats())
		}
	})
}

// 30 s without a core: what happened meanwhile arrives in order, and what the
// queue had no room for is counted.
func TestEventsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &core{answer: func(string) (int, string) { return 204, "" }, down: true}
		h := start(t, c, Config{Queue: 100})
		for i := range 130 {
			h.Tell(map[string]int{"n": i})
			time.Sleep(230 * time.Millisecond)
		}
		c.set(false)
		time.Sleep(retryMost + time.Second)
		s := h.Stats()
		if s.Told != 100 || s.Lost != 30 || s.Waiting != 0 || s.Retries < 3 {
			t.Errorf("%+v", s)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, b := range c.bodies {
			if want := fmt.Sprintf(`{"n":%d}`, i); b != want {
				t.Fatalf("event %d is %s", i, b)
			}
		}
	})
}

// An event that the core will never take does not hold up the rest; a wrong
// secret does, until somebody puts it right.
func TestRefusedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locked := true
		c := &core{answer: func(body string) (int, string) {
			switch {
			case locked:
				return 401, ""
			case body == "1":
				return 400, ""
			}
			return 200, ""
		}}
		h := start(t, c, Config{})
		for i := range 3 {
			h.Tell(i)
		}
		time.Sleep(10 * time.Second)
		if s := h.Stats(); s.Told != 0 || s.Waiting != 3 {
			t.Errorf("locked: %+v", s)
		}
		c.mu.Lock()
		locked = false
		c.mu.Unlock()
		time.Sleep(retryMost)
		if s := h.Stats(); s.Told != 2 || s.Discarded != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestReceiver(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	body := []byte(`{"a":1}`)
	fresh := func() http.Header {
		h := http.Header{}
		sign(h, secret, now, "id", body)
		return h
	}
	r := NewReceiver(secret)
	for _, test := range []struct {
		name   string
		change func(http.Header)
		body   string
		at     time.Duration
		want   error
	}{
		{"genuine", nil, `{"a":1}`, 59 * time.Second, nil},
		{"another body", nil, `{"a":2}`, 0, ErrSignature},
		{"another ID", func(h http.Header) { h.Set(HeaderID, "id2") }, `{"a":1}`, 0, ErrSignature},
		{"another time", func(h http.Header) { h.Set(HeaderTimestamp, "1700000001") }, `{"a":1}`, 0, ErrSignature},
		{"no signature", func(h http.Header) { h.Del(HeaderSignature) }, `{"a":1}`, 0, ErrSignature},
		{"no hex", func(h http.Header) { h.Set(HeaderSignature, "v1="+strings.Repeat("x", 64)) }, `{"a":1}`, 0, ErrSignature},
		{"late", nil, `{"a":1}`, 61 * time.Second, ErrStale},
		{"early", nil, `{"a":1}`, -61 * time.Second, ErrStale},
	} {
		h := fresh()
		if test.change != nil {
			test.change(h)
		}
		if err := r.Check(now.Add(test.at), h, []byte(test.body)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	r.Keep(now, fresh())
	if err := r.Check(now, fresh(), body); !errors.Is(err, ErrReplayed) {
		t.Errorf("replayed: %v", err)
	}
	for i := range 2 * maxSeen {
		r.Keep(now, http.Header{HeaderID: {fmt.Sprint(i)}})
	}
	if len(r.seen) > maxSeen || len(r.order) > maxSeen {
		t.Errorf("%d IDs are kept", len(r.seen))
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []Config{
		{},
		{URL: "core.example", Secret: secret},
		{URL: "ftp://core.example/", Secret: secret},
		{URL: "http://core.example/", Secret: []byte("short")},
		{URL: "http://user:pass@core.example/", Secret: secret},
		{URL: "http://core.example/?token=x", Secret: secret},
	} {
		if err := bad.Validate(); err == nil {
			t.Errorf("%q is valid", bad.URL)
		}
	}
}

// Over a real connection, as a core would do it.
func TestOverHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	receiver := NewReceiver(secret)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := receiver.Check(time.Now(), r.Header, body); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]bool{"allow": true})
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	h, err := New(Config{URL: "http://" + l.Addr().String() + "/", Secret: secret, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	if v := put(h, "may I?"); !v.Allow || v.Down {
		t.Errorf("%+v", v)
	}
	stop()
	<-done
}
