package turn

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"pileus/relay/guard"
	"pileus/relay/limit"
)

// A route is where a packet for a peer goes.
type route struct {
	peer, to netip.AddrPort
	own      bool        // a relay address of this server: it may end at any time
	at       guard.Epoch // for which the guard has judged it
}

// relay sends what came as ChannelData, which b is, to the peer of the channel: pion would do the same
// with some allocations for each packet.
func (a *allocation) relay(b []byte) {
	number, size := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
	now, peers := time.Now(), a.peers.Load()
	if a.over.peers != peers || a.over.number != number {
		a.over.peers, a.over.channel = peers, peers.numbered(number)
	}
	if !now.Before(a.over.expires) {
		a.front.server.count.drop(DropNoChannel)
		return
	}
	a.pass(now, b[channelHeader:][:size], a.over.peer)
}

// WriteTo sends what pion has of a Send indication, whose peer has a permission.
func (a *allocation) WriteTo(p []byte, addr net.Addr) (int, error) {
	if peer, ok := addr.(*net.UDPAddr); ok {
		a.pass(time.Now(), p, unmap(peer.AddrPort()))
	}
	return len(p), nil
}

// pass sends to a peer, or has the packet wait. It never blocks: the client's listener would stand still.
func (a *allocation) pass(now time.Time, p []byte, peer netip.AddrPort) {
	to, ok := a.route(peer)
	if !ok {
		a.front.server.count.drop(DropForbidden)
		return
	}
	size := ipBytes(len(p), to.Addr())
	a.forward.mu.Lock()
	defer a.forward.mu.Unlock()
	switch flow := a.forward.flow; {
	case flow == nil:
	case flow.Offer(now, size) == limit.Pass:
		a.send(p, to)
	default:
		flow.Push(now, append(appendAddr(make([]byte, 0, addrLen+len(p)), to), p...), size, 0)
		a.wake(now)
	}
}

// route says where a packet for peer goes. To another relay address of this server it goes directly, to
// the address that is bound: what is between the server and its outside address would seldom turn it
// around.
func (a *allocation) route(peer netip.AddrPort) (netip.AddrPort, bool) {
	s := a.front.server
	if at := s.guard.Epoch(); a.to.peer != peer || a.to.own || a.to.at != at {
		if s.guard.Check(peer) != guard.Allowed || peer.Addr().Is4() != a.inner.Addr().Is4() {
			return netip.AddrPort{}, false
		}
		a.to = route{peer, s.cfg.Names.Bind(peer), s.relays.known(peer), at}
	}
	return a.to.to, true
}

func (a *allocation) send(p []byte, to netip.AddrPort) {
	if _, err := a.socket.WriteToUDPAddrPort(p, to); err != nil && !errors.Is(err, net.ErrClosed) {
		a.front.server.count.drop(DropWrite)
	}
}

// wake sees that waiting packets are sent. The lane is locked.
func (a *allocation) wake(now time.Time) {
	due := a.forward.flow.Deadline()
	if due.IsZero() {
		return
	}
	// The rate, and with it the deadline, may change at each Interval.
	wait := min(max(due.Sub(now), 0), limit.Interval)
	if a.forward.timer == nil {
		a.forward.timer = time.AfterFunc(wait, a.flush)
	} else {
		a.forward.timer.Reset(wait)
	}
}

// flush sends what has waited long enough.
func (a *allocation) flush() {
	a.forward.mu.Lock()
	defer a.forward.mu.Unlock()
	if a.forward.flow == nil {
		return
	}
	now := time.Now()
	for {
		data, _, ok := a.forward.flow.Pop(now)
		if !ok {
			break
		}
		to, p := cutAddr(data)
		a.send(p, to)
	}
	a.wake(now)
}
