package turn

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"pileus/relay/limit"
)

// A source is who sent the packet before to a relay address, and what its packets get.
type source struct {
	peers   *peers         // of which the rest comes
	from    netip.AddrPort // as the socket has it
	peer    netip.AddrPort // its outside name
	permit  time.Time      // until when it may send
	channel channel
}

// maxReadErrors is how many reads may fail in a row, for ICMP errors and the like, before the socket is
// taken for broken.
const maxReadErrors = 64

// ReadFrom returns the next packet that pion is to make a Data indication of. What has a channel goes to
// the client from here. At an error pion ends the allocation, which it must not do while it deals with a
// request for it (see pionGrace); no further one is taken once the allocation is closed.
func (a *allocation) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := a.read(p)
	if err != nil {
		_ = a.Close()
		a.front.dealing.Lock()
		defer a.front.dealing.Unlock()
	}
	return n, from, err
}

func (a *allocation) read(p []byte) (int, net.Addr, error) {
	for failed := 0; failed < maxReadErrors; {
		if a.held {
			if data, ok := a.pop(); ok && !a.deliver(len(data)) {
				return copy(p, data), net.UDPAddrFromAddrPort(a.from.peer), nil
			}
		}
		n, from, err := a.socket.ReadFromUDPAddrPort(a.buffer[channelHeader:][:maxDatagram+1])
		switch {
		case err == nil:
			failed = 0
			if data := a.buffer[channelHeader:][:n]; a.admit(data, unmap(from)) && !a.deliver(n) {
				return copy(p, data), net.UDPAddrFromAddrPort(a.from.peer), nil
			}
		case errors.Is(err, net.ErrClosed):
			return 0, nil, err
		case errors.Is(err, os.ErrDeadlineExceeded): // of a held packet
		default:
			failed++
		}
	}
	return 0, nil, net.ErrClosed
}

// deliver sends a packet of size bytes, which is in the buffer and from a.from, through its channel. It
// reports false if there is none.
func (a *allocation) deliver(size int) bool {
	if a.from.channel.number == 0 {
		return false
	}
	// Padded over UDP, too, where RFC 8656 section 12.5 does not ask for it.
	end := channelHeader + (size+3)/4*4
	clear(a.buffer[channelHeader+size : end])
	binary.BigEndian.PutUint16(a.buffer[:], a.from.channel.number)
	binary.BigEndian.PutUint16(a.buffer[2:], uint16(size))
	if err := a.front.link.send(a.buffer[:end], a.client); err != nil {
		a.front.server.count.drop(DropWrite)
	}
	return true
}

// trace sets a.from for a packet. It reports false if its sender has no permission.
func (a *allocation) trace(now time.Time, from netip.AddrPort) bool {
	peers := a.peers.Load()
	if s := &a.from; s.peers != peers || s.from != from || !now.Before(s.channel.expires) {
		*s = source{peers: peers, from: from, peer: from}
		if a.front.server.relays.at(from) != nil {
			s.peer = a.front.server.cfg.Names.Outside(from)
		}
		s.permit = peers.permitted(s.peer.Addr())
		if c := peers.channelTo(s.peer); now.Before(c.expires) {
			s.channel = c
		}
	}
	return now.Before(a.from.permit)
}

// admit reports whether a packet may go to the client now. It is from a.from then.
func (a *allocation) admit(p []byte, from netip.AddrPort) bool {
	count := &a.front.server.count
	if len(p) > maxDatagram {
		count.drop(DropOversize)
		return false
	}
	now := time.Now()
	// pion looks at permissions, too, but after the packet has been counted here, at the client's cost.
	if !a.trace(now, from) {
		count.drop(DropNoPermission)
		return false
	}
	size := ipBytes(len(p), from.Addr())
	a.backward.mu.Lock()
	defer a.backward.mu.Unlock()
	flow := a.backward.flow
	if flow == nil {
		return false
	}
	if flow.Offer(now, size) == limit.Pass {
		return true
	}
	flow.Push(now, append(appendAddr(make([]byte, 0, addrLen+len(p)), from), p...), size, 0)
	a.held = true
	return false
}

// pop takes a held packet whose turn has come into the buffer. If there is none it sets the socket's
// deadline to when one will be.
func (a *allocation) pop() ([]byte, bool) {
	a.backward.mu.Lock()
	defer a.backward.mu.Unlock()
	if a.backward.flow == nil {
		a.held = false
		return nil, false
	}
	now := time.Now()
	if held, _, ok := a.backward.flow.Pop(now); ok {
		from, data := cutAddr(held)
		n := copy(a.buffer[channelHeader:], data)
		// It was let in with a permission.
		a.trace(now, from)
		return a.buffer[channelHeader:][:n], true
	}
	until := a.backward.flow.Deadline()
	if until.IsZero() {
		a.held = false
	} else if soon := now.Add(limit.Interval); soon.Before(until) {
		until = soon
	}
	_ = a.socket.SetReadDeadline(until) // closed: the read says so
	return nil, false
}
