package pairing

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// running calls a core at url until the test ends.
func running(t *testing.T, url string, cfg Config) *Hooks {
	t.Helper()
	cfg.URL, cfg.Secret = url, secret
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var ends sync.WaitGroup
	ends.Go(func() { h.Run(ctx) })
	t.Cleanup(func() { stop(); ends.Wait() })
	return h
}

// A rawCore is a core below HTTP: serve has each of its connections.
func rawCore(t *testing.T, serve func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				end := context.AfterFunc(ctx, func() { c.Close() })
				defer end()
				serve(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { stop(); l.Close(); all.Wait() })
	return "http://" + l.Addr().String() + "/hook"
}

func hook(r *bufio.Reader) (*http.Request, []byte, error) {
	q, err := http.ReadRequest(r)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(q.Body)
	return q, body, err
}

const yes = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + `{"allow":true}`

// Cores end connections that they kept, as they please: net/http repeats no POST by
// itself. No client is refused for it, whenever the connection ends.
func TestCoreEndsKeptConnections(t *testing.T) {
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
	for name, second := range map[string]func(c net.Conn, r *bufio.Reader){
		"at once":                    func(net.Conn, *bufio.Reader) {},
		"when another hook begins":   func(_ net.Conn, r *bufio.Reader) { _, _ = r.Peek(1) },
		"by a reset":                 func(c net.Conn, r *bufio.Reader) { _, _ = r.Peek(1); reset(c) },
		"when another hook is whole": func(_ net.Conn, r *bufio.Reader) { _, _, _ = hook(r) },
		"within the answer": func(c net.Conn, r *bufio.Reader) {
			_, _, _ = hook(r)
			_, _ = io.WriteString(c, yes[:len(yes)-3])
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := running(t, rawCore(t, func(c net.Conn, r *bufio.Reader) {
				if _, _, err := hook(r); err == nil {
					_, _ = io.WriteString(c, yes)
					second(c, r)
				}
			}), Config{Timeout: 20 * time.Second})
			allAllowed(t, h)
		})
	}
	for _, version := range []string{"HTTP/2", "HTTP/1.1"} {
		t.Run(version+" over TLS", func(t *testing.T) {
			var conns sync.Map // those that have answered, by remote address
			core := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if _, twice := conns.LoadOrStore(r.RemoteAddr, true); twice {
					panic(http.ErrAbortHandler)
				}
				_, _ = io.WriteString(w, `{"allow":true}`)
			}))
			core.EnableHTTP2 = version == "HTTP/2"
			core.StartTLS()
			defer core.Close()
			h := trusting(t, core, Config{Timeout: 20 * time.Second})
			for i := range 20 { // in turns: each has a connection that is kept
				if v := put(h, i); !v.Allow || v.Down {
					t.Fatalf("%d: %+v", i, v)
				}
			}
		})
	}
}

// allAllowed asks for 200 clients, in crowds of 20.
func allAllowed(t *testing.T, h *Hooks) {
	t.Helper()
	var refused atomic.Int64
	for range 10 {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if v := put(h, strings.Repeat("x", 50_000)); !v.Allow || v.Down {
					refused.Add(1)
				}
			})
		}
		all.Wait()
	}
	if n := refused.Load(); n != 0 {
		t.Errorf("%d of 200 clients are refused", n)
	}
}

// trusting has h know the core's certificate.
func trusting(t *testing.T, core *httptest.Server, cfg Config) *Hooks {
	t.Helper()
	roots := core.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	cfg.URL, cfg.Secret = core.URL, secret
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []http.RoundTripper{h.sender.kept, h.sender.fresh} {
		by.(*http.Transport).TLSClientConfig.RootCAs = roots
	}
	ctx, stop := context.WithCancel(t.Context())
	var ends sync.WaitGroup
	ends.Go(func() { h.Run(ctx) })
	t.Cleanup(func() { stop(); ends.Wait() })
	return h
}
