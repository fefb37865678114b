package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"pileus/cmd/pileus/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func healthy(context.Context) error { return nil }

func newServer(t *testing.T, o Options) http.Handler {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

func get(h http.Handler, path, authorization string) (status int, body string) {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8935"+path, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestHealth(t *testing.T) {
	var sick error
	h := newServer(t, Options{Health: func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the check has no deadline")
		}
		return sick
	}, Guard: api.NewGuard(api.Access{Token: "t"})})
	if status, body := get(h, "/healthz", ""); status != 200 || body != "ok\n" {
		t.Errorf("healthy: %d %q", status, body)
	}
	sick = errors.New("the loop does not answer")
	if status, body := get(h, "/healthz", ""); status != 503 || !strings.Contains(body, "does not answer") {
		t.Errorf("sick: %d %q", status, body)
	}
}

func TestMetricsComeFromTheSnapshot(t *testing.T) {
	drops := Counter("pileus_drops_total", "Datagrams without effect.", "reason")
	sessions := Gauge("pileus_sessions", "Sessions open now.")
	n := 0
	h := newServer(t, Options{Health: healthy, Collectors: []prometheus.Collector{
		NewCollector(func() []Sample {
			n++
			return []Sample{{drops, 7, []string{"hmac"}}, {Family: sessions, Value: float64(n)}}
		}, drops, sessions),
	}})
	for _, want := range []string{"pileus_sessions 1\n", "pileus_sessions 2\n"} {
		status, body := get(h, "/metrics", "")
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		for _, line := range []string{want, `pileus_drops_total{reason="hmac"} 7`, "# TYPE pileus_drops_total counter", "go_goroutines "} {
			if !strings.Contains(body, line) {
				t.Errorf("no %q", line)
			}
		}
	}
}

// A family with wrong labels is left out; the others stay.
func TestBrokenCollector(t *testing.T) {
	f, fine := Counter("pileus_broken_total", "Broken.", "reason"), Gauge("pileus_fine", "Fine.")
	h := newServer(t, Options{Health: healthy, Collectors: []prometheus.Collector{
		NewCollector(func() []Sample { return []Sample{{Family: f, Value: 1}, {Family: fine, Value: 2}} }, f, fine),
	}})
	if status, body := get(h, "/metrics", ""); status != 200 || !strings.Contains(body, "pileus_fine 2\n") {
		t.Errorf("%d %s", status, body)
	}
}

func TestSameNameTwice(t *testing.T) {
	f := Gauge("pileus_twice", "Twice.")
	c := NewCollector(func() []Sample { return nil }, f)
	if _, err := New(Options{Health: healthy, Collectors: []prometheus.Collector{c, c}}); err == nil {
		t.Error("no error")
	}
}

func TestToken(t *testing.T) {
	h := newServer(t, Options{Health: healthy, Guard: api.NewGuard(api.Access{Token: "secret"}), Profiles: true})
	for _, test := range []struct {
		authorization string
		want          int
	}{
		{"", 401}, {"Bearer ", 401}, {"Bearer secrets", 401}, {"secret", 401}, {"Bearer secret", 200},
	} {
		if status, _ := get(h, "/metrics", test.authorization); status != test.want {
			t.Errorf("%q: %d, want %d", test.authorization, status, test.want)
		}
		if status, _ := get(h, "/debug/pprof/cmdline", test.authorization); status != test.want {
			t.Errorf("profiles, %q: %d, want %d", test.authorization, status, test.want)
		}
	}
}

func TestRest(t *testing.T) {
	h := newServer(t, Options{Health: healthy})
	if status, body := get(h, "/", ""); status != 200 || !strings.Contains(body, "/metrics") {
		t.Errorf("/: %d %q", status, body)
	}
	if status, _ := get(h, "/nothing", ""); status != 404 {
		t.Errorf("/nothing: %d", status)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/metrics", nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	s, err := New(Options{Health: healthy})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + l.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "ok\n" {
		t.Errorf("%q", body)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

// Who sends a request slowly, or one that is huge, is cut off and holds nothing.
func TestSlowAndHugeRequests(t *testing.T) {
	s, err := New(Options{Health: healthy})
	if err != nil {
		t.Fatal(err)
	}
	s.http.ReadHeaderTimeout, s.http.ReadTimeout = 50*time.Millisecond, 100*time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for name, request := range map[string]string{
		"half a header":  "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
		"half a body":    "POST /api/v1/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{",
		"a huge header":  "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Huge: " + strings.Repeat("x", 2*maxHeader),
		"nothing at all": "",
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, request)
		answer, err := io.ReadAll(c)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() || strings.HasPrefix(string(answer), "HTTP/1.1 200") {
			t.Errorf("%s: %v, answered %q", name, err, answer)
		}
		c.Close()
	}
}

// Connections that ask for nothing take no file from who asks: the one that has been idle for longest makes room.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	s, err := New(Options{Health: healthy})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	var idle []net.Conn
	for range 3 * MaxConns {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 3 {
		resp, err := client.Get("http://" + l.Addr().String() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	open := 0
	for _, c := range idle {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		var late net.Error
		if _, err := c.Read(make([]byte, 1)); errors.As(err, &late) && late.Timeout() {
			open++
		}
	}
	if open > MaxConns {
		t.Errorf("%d are open, want at most %d", open, MaxConns)
	}
}
