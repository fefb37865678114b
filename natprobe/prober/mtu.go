package prober

import (
	"context"
	"errors"
	"syscall"
	"time"

	"pileus/natprobe"
)

const (
	maxMTU = 1500 // the longest packet tried: what servers have buffers for
	minMTU = 576  // what every IPv4 host takes (RFC 791 section 3.1)

	mtuTries = 4
	mtuEvery = 120 * time.Millisecond

	udpHeaderLen = 8
	stunAlign    = 4 // a STUN message's length is a multiple of it (RFC 8489 section 5)
)

// headerLen of a packet to the server, in bytes.
func (d *depth) headerLen() int {
	if d.Server.Addr().Is4() {
		return 20 + udpHeaderLen
	}
	return 40 + udpHeaderLen
}

// mtu searches for the longest packet that the server hears of. Only requests are
// long, so that it is the way out that is measured; each length has several tries.
func (d *depth) mtu(ctx context.Context) {
	s := mtuSearch{depth: d, runner: d.runner()}
	defer s.close()
	if err := s.prepare(); err != nil {
		d.note("path MTU: " + err.Error())
		return
	}
	m, err := s.search(ctx)
	if err == nil {
		d.set(func(out *natprobe.Depth) { out.MTU = &m })
	}
}

type mtuSearch struct {
	*depth
	*runner
	socket *socket
	tries  int
}

func (s *mtuSearch) prepare() (err error) {
	if s.socket, err = s.open(); err != nil {
		return err
	}
	return dontFragment(s.socket.conn)
}

func (s *mtuSearch) search(ctx context.Context) (natprobe.MTU, error) {
	highest := maxMTU
	if s.MTU > 0 {
		highest = min(highest, s.MTU)
	}
	whole := highest / stunAlign * stunAlign
	low, high := minMTU-stunAlign, whole+stunAlign // arrives, does not: neither was tried
	for size := whole; high-low > stunAlign; size = (low + high) / 2 / stunAlign * stunAlign {
		arrived, err := s.arrives(ctx, size)
		if err != nil {
			return natprobe.MTU{}, err
		}
		if arrived {
			low = size
		} else {
			high = size
		}
	}
	m := natprobe.MTU{Bytes: low, Interface: s.MTU}
	if low < minMTU {
		m.Bytes = 0
	}
	low, high, err := s.refine(ctx, low, min(high, highest+1))
	if m.Bytes > 0 {
		m.Bytes = low
	}
	if m.Tries = s.tries; high <= highest {
		m.Below = high
	}
	m.Limited = m.Bytes == highest
	return m, err
}

// refine finds the exact byte between two lengths of STUN messages, if the server
// passes over bytes behind one.
func (s *mtuSearch) refine(ctx context.Context, low, high int) (lower, higher int, err error) {
	if high-low <= 1 || low < minMTU {
		return low, high, nil
	}
	if passed, err := s.arrives(ctx, minMTU+1); err != nil || !passed {
		return low, high, err
	}
	for high-low > 1 {
		size := low + 1
		arrived, err := s.arrives(ctx, size)
		if err != nil {
			return low, high, err
		}
		if !arrived {
			high = size
			break
		}
		low = size
	}
	return low, high, nil
}

// arrives reports whether the server hears of packets of size bytes. An error
// response shows that as well as an answer.
func (s *mtuSearch) arrives(ctx context.Context, size int) (bool, error) {
	a := s.filled(s.socket, s.target, mtuTries)
	payload := size - s.headerLen()
	a.request.Trailing = payload % stunAlign
	a.request.Size = payload - a.request.Trailing
	a.every = mtuEvery
	err := s.round(ctx, a)
	s.tries += a.Tries
	return a.answered || a.refused, err
}

var errNoRaw = errors.New("this socket cannot be told whether to fragment")

// control calls f with the descriptor of a socket, to set what package net does
// not know.
func control(conn any, f func(fd uintptr) error) error {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return errNoRaw
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) { err = f(fd) })
	return errors.Join(failed, err)
}
