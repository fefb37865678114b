// Package udp moves datagrams in batches through sockets that are each bound to one local address,
// with the TOS byte of every datagram in both directions. It knows no RTMFP.
//
// On Linux a batch is one recvmmsg or sendmmsg call, without allocation; elsewhere datagrams go one by
// one through package net. TOS is carried on Linux and macOS; elsewhere it reads as 0 and what is asked
// for is ignored.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// A Datagram is one UDP payload and its far end.
type Datagram struct {
	Peer netip.AddrPort // unmapped: an IPv4 address is never 4-in-6
	TOS  uint8          // IPv4 TOS or IPv6 traffic class, as on the wire: ECN in the low two bits
	Data []byte
}

// Options of a Conn. The zero value asks for the defaults.
type Options struct {
	ReceiveBuffer int // bytes; 0 = DefaultReceiveBuffer
	SendBuffer    int // bytes; 0 = DefaultSendBuffer
}

// The kernel counts a queued datagram with its bookkeeping, about 1.3 KiB for a startup packet: 4 MiB
// hold some 3,000 of them, a join burst that arrives while the reader is not scheduled.
const (
	DefaultReceiveBuffer = 4 << 20
	DefaultSendBuffer    = 1 << 20
)

const (
	// maxBatch bounds the message headers that a Conn keeps for each direction (about 200 bytes each).
	maxBatch = 256
	// maxReadErrors is how many reads may fail in a row, for reasons other than ICMP, before the socket
	// is taken for broken. A shortage of kernel memory passes within far fewer.
	maxReadErrors = 64
)

// A batcher moves datagrams through one socket.
type batcher interface {
	// read blocks until a datagram has come. It may return 0 and no error when it dropped what came.
	read(d []Datagram) (int, error)
	// write sends from the front of d and returns how many went before the first that failed.
	write(d []Datagram) (int, error)
}

// A Conn is one bound UDP socket. One goroutine may read while another writes; neither side may be
// shared by two. Close may be called from any.
type Conn struct {
	socket  *net.UDPConn
	closer  func() error
	batch   batcher
	local   netip.AddrPort
	receive int
	send    int
	counts  *counters
	// patience is how long a write may wait for room in the send buffer; 0: for ever.
	patience time.Duration
}

type counters struct {
	readErrors, writeErrors, oversize atomic.Uint64
}

// Stats counts what a Conn did not deliver since it was opened.
type Stats struct {
	ReadErrors  uint64 // reads that failed and were repeated: mostly ICMP errors
	WriteErrors uint64 // datagrams not sent because their destination was refused
	Oversize    uint64 // datagrams dropped because they did not fit the buffer offered
}

// Listen binds a socket to local. Errors wrap the system's; a port in use, even by a socket bound with
// SO_REUSEPORT, is recognised by errors.Is(err, syscall.EADDRINUSE). Port 0 lets the system choose.
//
// On a wildcard address answers leave from whichever address the route prefers; a server uses Expand
// and binds to each.
func Listen(local netip.AddrPort, o Options) (*Conn, error) {
	local = unmap(local)
	network := "udp4"
	if local.Addr().Is6() {
		network = "udp6"
	}
	if !local.Addr().IsValid() {
		return nil, errors.New("udp: listen: no address given")
	}
	// A ListenConfig without a Control function sets neither SO_REUSEADDR nor SO_REUSEPORT on a
	// unicast UDP socket: two programs can never share a port unnoticed.
	pc, err := new(net.ListenConfig).ListenPacket(context.Background(), network, local.String())
	if err != nil {
		return nil, fmt.Errorf("udp: %w", inUse(err))
	}
	c := &Conn{socket: pc.(*net.UDPConn), counts: new(counters)}
	c.closer = c.socket.Close
	c.local = unmap(c.socket.LocalAddr().(*net.UDPAddr).AddrPort())
	if err := c.setup(o); err != nil {
		c.socket.Close()
		return nil, fmt.Errorf("udp: set up %s: %w", c.local, err)
	}
	return c, nil
}

func (c *Conn) setup(o Options) error {
	if o.ReceiveBuffer == 0 {
		o.ReceiveBuffer = DefaultReceiveBuffer
	}
	if o.SendBuffer == 0 {
		o.SendBuffer = DefaultSendBuffer
	}
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return err
	}
	v6 := c.local.Addr().Is6()
	if err := receiveTOS(raw, v6); err != nil {
		return fmt.Errorf("ask for received TOS: %w", err)
	}
	if c.receive, c.send, err = setBuffers(c.socket, raw, o); err != nil {
		return fmt.Errorf("set buffer sizes: %w", err)
	}
	c.batch, err = newBatcher(c.socket, c.local, c.counts)
	return err
}

// LocalAddr returns the address the socket is bound to, with the port the system chose if it was asked to.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Buffers returns the sizes in bytes that the kernel granted, which may be less than was asked for.
// They are 0 where the system does not tell.
func (c *Conn) Buffers() (receive, send int) { return c.receive, c.send }

// Stats may be called from any goroutine.
func (c *Conn) Stats() Stats {
	return Stats{
		ReadErrors:  c.counts.readErrors.Load(),
		WriteErrors: c.counts.writeErrors.Load(),
		Oversize:    c.counts.oversize.Load(),
	}
}

// ReadBatch blocks until at least one datagram has come, and returns how many of d it filled. Each
// d[i].Data is overwritten up to its capacity and resliced; a datagram longer than that is dropped and
// counted, and slots may exchange their Data arrays. ICMP errors are counted, never returned; after
// Close the error unwraps to net.ErrClosed, and any other means that the socket is broken.
func (c *Conn) ReadBatch(d []Datagram) (int, error) {
	if len(d) == 0 {
		return 0, nil
	}
	d = d[:min(len(d), maxBatch)]
	failed := 0
	for {
		n, err := c.batch.read(d)
		if n > 0 {
			return n, nil
		}
		if err == nil {
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return 0, err
		}
		c.counts.readErrors.Add(1)
		if fromICMP(err) {
			continue
		}
		if failed++; failed == maxReadErrors {
			return 0, fmt.Errorf("udp: %s gave %d errors in a row, last: %w", c.local, failed, err)
		}
	}
}

// WriteBatch sends every datagram of d and returns how many the kernel took. One that it refuses (no
// route, a firewall, too large, another address family) is counted and left out. While the send buffer
// is full WriteBatch blocks; on a socket of an Inlet it gives up after a few milliseconds and counts
// what is left. The only error unwraps to net.ErrClosed.
func (c *Conn) WriteBatch(d []Datagram) (int, error) {
	sent := 0
	if c.patience > 0 {
		if err := c.socket.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
			return 0, err
		}
	}
	for len(d) > 0 {
		n, err := c.batch.write(d[:min(len(d), maxBatch)])
		sent += n
		d = d[n:]
		if err == nil {
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return sent, err
		}
		if errors.Is(err, os.ErrDeadlineExceeded) { // a full send buffer: drop and count
			c.counts.writeErrors.Add(uint64(len(d)))
			return sent, nil
		}
		c.counts.writeErrors.Add(1)
		d = d[1:]
	}
	return sent, nil
}

// Send sends one datagram with a TOS byte of 0. Unlike WriteBatch it may be called from several goroutines
// at once, also while another writes a batch, and it costs less than a batch of one. The error is the
// system's; after Close it unwraps to net.ErrClosed.
func (c *Conn) Send(p []byte, to netip.AddrPort) error {
	_, err := c.socket.WriteToUDPAddrPort(p, to)
	return err
}

// Close unblocks ReadBatch and WriteBatch. Closing twice is not an error.
func (c *Conn) Close() error {
	if err := c.closer(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
