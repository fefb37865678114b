package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"pileus/natprobe/lab"
)

// Ports of the node while sites are verified. Nobody ever sends to strangerPort:
// what comes from there is unsolicited.
const (
	firstPort    = 40001
	secondPort   = 40002
	strangerPort = 40003
)

// Requests to the echo sockets: a command, then four bytes that the answer
// repeats.
const (
	askSource    = 's' // answer with the source seen
	askStrangers = 'f' // besides, have strangers send to that source
)

// echo answers on the node's addresses until it is closed.
type echo struct {
	node      *Host
	sockets   []*net.UDPConn
	strangers []*net.UDPConn
	work      sync.WaitGroup
}

func listenIn(h *Host, addr netip.AddrPort) (*net.UDPConn, error) {
	var c *net.UDPConn
	err := h.Do(func() error {
		var err error
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		return err
	})
	return c, err
}

func newEcho(node *Host) (*echo, error) {
	e := &echo{node: node}
	for _, ip := range node.Addrs {
		for _, port := range []uint16{lab.NodePort, firstPort, secondPort, strangerPort} {
			c, err := listenIn(node, netip.AddrPortFrom(ip, port))
			if err != nil {
				return nil, errors.Join(err, e.close())
			}
			if port == strangerPort {
				e.strangers = append(e.strangers, c)
			} else {
				e.sockets = append(e.sockets, c)
			}
		}
	}
	for _, c := range e.sockets {
		e.work.Go(func() { e.serve(c) })
	}
	return e, nil
}

// close leaves the ports to others. A program that is being started has every socket of
// this process from its fork until exec is through, and keeps the ports for as long: none
// is forked meanwhile, and those that were are waited for.
func (e *echo) close() error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	sockets := slices.Concat(e.sockets, e.strangers)
	errs := make([]error, 0, 2*len(sockets))
	for _, c := range sockets {
		errs = append(errs, c.Close())
	}
	e.work.Wait()
	deadline := time.Now().Add(forkGrace)
	for _, c := range sockets {
		errs = append(errs, e.awaitFree(c.LocalAddr().(*net.UDPAddr).AddrPort(), deadline)) //nolint:forcetypeassert // net.ListenUDP made it
	}
	return errors.Join(errs...)
}

// forkGrace bounds what a program takes to get from fork to exec on a busy machine.
const forkGrace = 10 * time.Second

func (e *echo) awaitFree(at netip.AddrPort, deadline time.Time) error {
	for {
		c, err := listenIn(e.node, at)
		if err == nil {
			return c.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func (e *echo) serve(c *net.UDPConn) {
	buffer := make([]byte, maxPacket)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != 5 {
			continue
		}
		if buffer[0] == askStrangers {
			for _, s := range e.strangers {
				for range 3 {
					_, _ = s.WriteToUDPAddrPort([]byte("strange"), from) // of another family: refused
				}
			}
		}
		answer := append([]byte(nil), buffer[1:5]...)
		answer, err = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).AppendBinary(answer)
		if err == nil {
			_, _ = c.WriteToUDPAddrPort(answer, from) // asked again if lost
		}
	}
}

// prober asks echo sockets from one socket of a host.
type prober struct {
	*net.UDPConn
	patience time.Duration
	serial   uint32
	heard    map[netip.AddrPort]bool // who sent anything
}

const tries = 3

func newProber(h *Host, ip netip.Addr, patience time.Duration) (*prober, error) {
	c, err := listenIn(h, netip.AddrPortFrom(ip, 0))
	if err != nil {
		return nil, err
	}
	return &prober{UDPConn: c, patience: patience, heard: make(map[netip.AddrPort]bool)}, nil
}

// ask sends a request and returns the source that to saw; ok is false without
// an answer.
func (p *prober) ask(ctx context.Context, to netip.AddrPort, command byte) (seen netip.AddrPort, ok bool) {
	p.serial++
	request := binary.BigEndian.AppendUint32([]byte{command}, p.serial)
	for range tries {
		if ctx.Err() != nil {
			return seen, false
		}
		if _, err := p.WriteToUDPAddrPort(request, to); err != nil {
			continue
		}
		if seen, ok = p.await(to); ok {
			return seen, true
		}
	}
	return seen, false
}

// await notes what comes until the answer does, or until patience ends. The
// zero from waits for nothing but that.
func (p *prober) await(from netip.AddrPort) (seen netip.AddrPort, ok bool) {
	_ = p.SetReadDeadline(time.Now().Add(p.patience)) // fails only if closed
	buffer := make([]byte, maxPacket)
	for {
		n, at, err := p.ReadFromUDPAddrPort(buffer)
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, net.ErrClosed) {
				return seen, false
			}
			continue // refused by ICMP
		}
		at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		p.heard[at] = true
		if at != from || n < 4 || binary.BigEndian.Uint32(buffer) != p.serial {
			continue
		}
		if err := seen.UnmarshalBinary(buffer[4:n]); err == nil {
			return seen, true
		}
	}
}
