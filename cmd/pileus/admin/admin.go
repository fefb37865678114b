// Package admin is the HTTP face of a node towards its operator: /healthz for
// whatever restarts it, /readyz for whatever sends clients, /metrics for
// Prometheus, /api/v1 for programs.
package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pileus/cmd/pileus/api"
	"pileus/cmd/pileus/console"
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

	// MaxConns bounds the connections, and so the files that they take: those who follow
	// events have one each.
	MaxConns = 64
)

// Options of a Server. Health is required.
type Options struct {
	// Health says whether the node works. It is given a deadline and may be
	// called from several goroutines.
	Health func(context.Context) error
	// Collectors are added to those of the process and the Go runtime.
	Collectors []prometheus.Collector
	// Ready says whether clients should be sent here; nil: as Health.
	Ready func(context.Context) error
	// Guard lets callers in to all that tells of clients or changes anything; nil: everybody.
	// /healthz and /readyz are open, since balancers send no token.
	Guard *api.Guard
	// API answers below /api/v1; nil: nothing there.
	API http.Handler
	// Profiles serves /debug/pprof. It is for servers with a token.
	Profiles bool
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
	if o.Ready == nil {
		o.Ready = o.Health
	}
	guard := func(h http.Handler) http.Handler { return h }
	if o.Guard != nil {
		guard = o.Guard.Operator
	}
	mux.HandleFunc("GET /healthz", health(o.Health))
	mux.HandleFunc("GET /readyz", health(o.Ready))
	mux.Handle("GET /console/", http.StripPrefix("/console", console.Handler()))
	if o.API != nil {
		mux.Handle("/api/v1/", o.API)
	}
	if o.Profiles {
		profiles(mux, guard)
	}
	mux.Handle("GET /metrics", guard(promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		Timeout:             writeTimeout - time.Second,
		// One broken collector must not take the others' numbers away.
		ErrorHandling: promhttp.ContinueOnError,
		Registry:      registry,
	})))
	visitors := &crowd{max: MaxConns, conns: make(map[net.Conn]visit)}
	return &Server{http: &http.Server{
		Handler:           mux,
		ConnState:         visitors.changed,
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
	_, _ = io.WriteString(w, "pileus\n\n/healthz\n/console/\n/readyz\n/metrics\n/api/v1/openapi.json\n")
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

// profiles are those of package net/http/pprof, without its registration on
// the default server.
func profiles(mux *http.ServeMux, guard func(http.Handler) http.Handler) {
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.Handle("GET "+path, guard(h))
	}
}
