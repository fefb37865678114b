// Package responder answers STUN Binding requests, with the NAT behaviour discovery
// of RFC 5780. A [Responder] does so over UDP and TCP, where no node runs; [Sockets]
// are the part of it that a node has too.
package responder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"pileus/natprobe/binding"
	"pileus/rtmfp/udp"
)

const (
	maxStreams  = 256 // TCP connections at a time; others are closed at once
	streamLife  = 10 * time.Second
	acceptPause = 100 * time.Millisecond
)

// Config says where to answer.
type Config struct {
	Addrs []netip.Addr // the first two of a family are each other's alternate
	Ports [2]uint16
}

// Stats counts what came.
type Stats struct{ Answered, Limited, Malformed uint64 }

// Responder owns the sockets.
type Responder struct {
	server  binding.Server
	conns   []*udp.Conn
	streams []net.Listener

	mu      sync.Mutex // of what follows
	limiter *udp.Limiter
	stats   Stats
}

// New opens both ports of every address, for UDP; and for TCP, where they are free.
func New(ctx context.Context, c Config) (*Responder, error) {
	r := &Responder{
		server:  binding.Server{Addrs: c.Addrs, Ports: c.Ports},
		limiter: udp.NewLimiter(binding.AnswersPerPrefix, binding.AnswersPerPrefix),
	}
	for _, addr := range c.Addrs {
		for _, port := range c.Ports {
			at := netip.AddrPortFrom(addr, port)
			conn, err := udp.Listen(at, udp.Options{})
			if err != nil {
				return nil, errors.Join(fmt.Errorf("cannot listen at %v: %w", at, err), r.close())
			}
			r.conns = append(r.conns, conn)
			var lc net.ListenConfig
			if l, err := lc.Listen(ctx, "tcp", at.String()); err == nil {
				r.streams = append(r.streams, l)
			}
		}
	}
	return r, nil
}

// Streams returns how many of the addresses and ports have TCP as well.
func (r *Responder) Streams() int { return len(r.streams) }

// Serve answers until ctx ends, or a socket fails.
func (r *Responder) Serve(ctx context.Context) error {
	var work sync.WaitGroup
	slots := make(chan struct{}, maxStreams)
	for _, l := range r.streams {
		work.Go(func() { r.accept(ctx, l, slots) })
	}
	err := NewSockets(r.conns).Serve(ctx, r.conns, r.answer)
	err = errors.Join(err, r.close())
	work.Wait()
	return err
}

// Stats may be called at any time.
func (r *Responder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

func (r *Responder) close() error {
	errs := make([]error, 0, len(r.conns)+len(r.streams))
	for _, c := range r.conns {
		errs = append(errs, c.Close())
	}
	for _, l := range r.streams {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

func (r *Responder) answer(now time.Time, d binding.Received) (a binding.Response, ok bool) {
	a, ok = r.server.RespondTo(d)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !ok:
		r.stats.Malformed++
	case !r.limiter.Allow(now, a.To.Addr()):
		r.stats.Limited++
		ok = false
	default:
		r.stats.Answered++
	}
	return a, ok
}
