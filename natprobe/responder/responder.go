// Package responder answers STUN Binding requests, with the NAT behaviour discovery
// of RFC 5780, over UDP and TCP: the server's part of natprobe, for hosts on which
// no node runs.
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
	batchSize   = 16   // datagrams read at a time
	maxDatagram = 2048 // bytes: requests that come in fragments

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
	conns   map[netip.AddrPort]*udp.Conn
	streams []net.Listener

	mu      sync.Mutex // of what follows, and of writes: answers leave by others' sockets
	limiter binding.Limiter
	stats   Stats
}

// New opens both ports of every address, for UDP; and for TCP, where they are free.
func New(ctx context.Context, c Config) (*Responder, error) {
	r := &Responder{server: binding.Server{Addrs: c.Addrs, Ports: c.Ports}, conns: make(map[netip.AddrPort]*udp.Conn)}
	for _, addr := range c.Addrs {
		for _, port := range c.Ports {
			at := netip.AddrPortFrom(addr, port)
			conn, err := udp.Listen(at, udp.Options{})
			if err != nil {
				return nil, errors.Join(fmt.Errorf("cannot listen at %v: %w", at, err), r.close())
			}
			r.conns[at] = conn
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
	failed := make(chan error, len(r.conns))
	var work sync.WaitGroup
	for at, c := range r.conns {
		work.Go(func() { failed <- r.read(at, c) })
	}
	slots := make(chan struct{}, maxStreams)
	for _, l := range r.streams {
		work.Go(func() { r.accept(ctx, l, slots) })
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
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

func (r *Responder) read(at netip.AddrPort, c *udp.Conn) error {
	batch := make([]udp.Datagram, batchSize)
	for i := range batch {
		batch[i].Data = make([]byte, maxDatagram)
	}
	for {
		n, err := c.ReadBatch(batch)
		if err != nil {
			return err
		}
		now := time.Now()
		for _, d := range batch[:n] {
			r.answer(now, at, d)
		}
	}
}

func (r *Responder) answer(now time.Time, at netip.AddrPort, d udp.Datagram) {
	a, ok := r.server.RespondTo(binding.Received{Data: d.Data, From: d.Peer, Local: at, TOS: d.TOS, HasTOS: udp.CarriesTOS, CanBeWhole: true})
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !ok:
		r.stats.Malformed++
	case !r.limiter.Allow(a.To.Addr(), len(d.Data), len(a.Data), now):
		r.stats.Limited++
	default:
		r.stats.Answered++
		if c := r.conns[a.From]; c != nil {
			send(c, a)
		}
	}
}

// send passes over errors: that of a closed socket is read's to say.
func send(c *udp.Conn, a binding.Response) {
	d := udp.Datagram{Peer: a.To, TOS: a.TOS, Data: a.Data}
	if a.Whole {
		_ = c.WriteWhole(d)
		return
	}
	_, _ = c.WriteBatch([]udp.Datagram{d})
}
