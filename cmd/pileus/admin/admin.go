// Package admin is the HTTP face of a node towards its operator: /healthz for
// whatever restarts it, /metrics for Prometheus.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// An operator's tools are near and few; whoever is slower than this holds a
// connection for nothing.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	closeTimeout  = 2 * time.Second
	healthTimeout = 2 * time.Second
	maxHeader     = 16 << 10 // bytes
	maxScrapes    = 4        // at once
)

// Options of a Server. Health is required.
type Options struct {
	// Health says whether the node works. It is given a deadline and may be
	// called from several goroutines.
	Health func(context.Context) error
	// Collectors are added to those of the process and the Go runtime.
	Collectors []prometheus.Collector
	// Token, unless empty, must come with every request but those for /healthz,
	// as "Authorization: Bearer TOKEN".
	Token string
}

// Server answers operators.
type Server struct {
	http *http.Server
}

// New prepares a server that listens nowhere yet. The error is a collector that
// Prometheus refuses.
func New(o Options) (*Server, error) {
	registry := prometheus.NewRegistry()
	for _, c := range append([]prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, o.Collectors...) {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	mux.HandleFunc("GET /healthz", health(o.Health))
	mux.Handle("GET /metrics", guard(o.Token, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		Timeout:             writeTimeout - time.Second,
		// One broken collector must not take the others' numbers away.
		ErrorHandling: promhttp.ContinueOnError,
		Registry:      registry,
	})))
	return &Server{http: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// What it would say, anybody who can connect can cause.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}}, nil
}

// Handler is the whole face, for those who bring their own listener.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers on l until ctx ends, then finishes what is under way and
// returns nil. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if s.http.Shutdown(grace) != nil {
			_ = s.http.Close() // it only cuts connections off
		}
	})
	err := s.http.Serve(l)
	if !stop() {
		<-closed
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func index(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "pileus\n\n/healthz\n/metrics\n")
}

func health(check func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
		defer cancel()
		w.Header().Set("Cache-Control", "no-store")
		if err := check(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

// guard asks for token, if there is one. Digests are compared, so that the
// time it takes does not tell even the token's length.
func guard(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte("Bearer " + token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		is := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(is[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "this needs the token of admin.token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
