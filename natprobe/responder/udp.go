package responder

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"pileus/natprobe/binding"
	"pileus/rtmfp/udp"
)

const (
	batchSize   = 16   // datagrams read at a time
	maxDatagram = 2048 // bytes: requests with the largest PADDING, and those that come in fragments
)

// Answer says what to send, if anything, for what came to the socket at d.Local. It
// is called from several goroutines.
type Answer func(now time.Time, d binding.Received) (r binding.Response, ok bool)

// Sockets are UDP sockets at which requests are answered. An answer leaves by the one
// that has its address, which need not be the one that was asked.
type Sockets struct {
	mu    sync.Mutex // of conns, and of writes
	conns map[netip.AddrPort]*udp.Conn
}

// NewSockets takes conns over: others may write to them by [udp.Conn.Send] alone.
func NewSockets(conns []*udp.Conn) *Sockets {
	s := &Sockets{conns: make(map[netip.AddrPort]*udp.Conn)}
	for _, c := range conns {
		s.conns[c.LocalAddr()] = c
	}
	return s
}

// Serve answers what comes to conns, which are some or all of the sockets, until ctx
// ends or one of them fails. Then it closes all.
func (s *Sockets) Serve(ctx context.Context, conns []*udp.Conn, answer Answer) error {
	failed := make(chan error, len(conns))
	var readers sync.WaitGroup
	for _, c := range conns {
		readers.Go(func() { failed <- s.Read(c, answer) })
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	s.Close()
	readers.Wait()
	return err
}

// Close closes all sockets.
func (s *Sockets) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// Add takes one more over.
func (s *Sockets) Add(c *udp.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c.LocalAddr()] = c
}

// Remove closes one, so that its reader ends.
func (s *Sockets) Remove(c *udp.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.LocalAddr()] == c {
		delete(s.conns, c.LocalAddr())
	}
	_ = c.Close()
}

// Read answers what comes to c, which is one of the sockets, until it is closed or
// fails.
func (s *Sockets) Read(c *udp.Conn, answer Answer) error {
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
			r, ok := answer(now, binding.Received{
				Data: d.Data, From: d.Peer, Local: c.LocalAddr(), TOS: d.TOS, HasTOS: udp.CarriesTOS, CanBeWhole: true, Alone: true,
			})
			if ok {
				s.Send(r)
			}
		}
	}
}

// Send sends an answer; one from an address that no socket has is dropped. Errors are
// passed over: that of a closed socket is its reader's to say.
func (s *Sockets) Send(r binding.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[r.From]
	if c == nil {
		return
	}
	d := udp.Datagram{Peer: r.To, TOS: r.TOS, Data: r.Data}
	if r.Whole {
		_ = c.WriteWhole(d)
		return
	}
	_, _ = c.WriteBatch([]udp.Datagram{d})
}
