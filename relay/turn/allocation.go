package turn

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v2"

	"pileus/relay/guard"
	"pileus/relay/limit"
)

// An allocation is a client's relay address. pion reads and writes it as its relay socket, and closes it
// when the allocation ends.
type allocation struct {
	noDeadlines
	front       *front
	client      netip.AddrPort
	clientAddr  *net.UDPAddr // the same
	owner       identity
	transaction [stun.TransactionIDSize]byte
	opened      time.Time
	expires     atomic.Int64 // Unix time in nanoseconds

	socket       *net.UDPConn
	inner, outer netip.AddrPort
	pair         *limit.Pair

	// permissions are replaced as a whole by the front's reader, and read for each packet of a peer.
	permissions atomic.Pointer[[]permission]
	channels    []channel // the front's reader's

	to   route // of the packet before: the front's reader's
	from struct {
		peer netip.AddrPort
		addr *net.UDPAddr
	} // of the packet before: the relay reader's

	forward  lane // to peers; written by the front's reader and by its timer
	backward lane // to the client; the relay reader's, but for the end
	held     bool // backward packets wait; the relay reader's
}

// A lane is a flow and what guards it against the end of the allocation.
type lane struct {
	mu    sync.Mutex
	flow  *limit.Flow // nil: ended
	timer *time.Timer // runs while forward packets wait
}

type permission struct {
	peer    netip.Addr
	expires time.Time
}

type channel struct {
	number  uint16
	expires time.Time
}

// A route is where a packet for a peer goes.
type route struct {
	peer, to netip.AddrPort
	own      bool // a relay address of this server: it may end at any time
}

// noDeadlines is what pion never calls of a net.PacketConn.
type noDeadlines struct{}

func (noDeadlines) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (noDeadlines) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (noDeadlines) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// LocalAddr is for pion's log.
func (a *allocation) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(a.outer) }

// Close is called once or more, by whatever ends the allocation.
func (a *allocation) Close() error {
	err := a.socket.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	a.front.server.relays.remove(a)
	a.front.forget(a)
	for _, l := range []*lane{&a.forward, &a.backward} {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.flow = nil
		if l.timer != nil {
			l.timer.Stop()
		}
	}
	a.pair.Close(time.Now())
	return err
}

// ipBytes is the size of the IP packet that carries n bytes of payload.
func ipBytes(n int, to netip.Addr) int {
	if to.Is4() {
		return 20 + 8 + n
	}
	return 40 + 8 + n
}

// A packet that has to wait carries its peer's address before its data.
const addrLen = 16 + 2

func appendAddr(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().As16()
	return binary.BigEndian.AppendUint16(append(b, ip[:]...), a.Port())
}

func cutAddr(b []byte) (netip.AddrPort, []byte) {
	ip := netip.AddrFrom16([16]byte(b[:16])).Unmap()
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[16:])), b[addrLen:]
}

// WriteTo sends to a peer to whom pion knows a permission. It never blocks: the client's listener would
// stand still. What may not be sent is counted, and is no error.
func (a *allocation) WriteTo(p []byte, addr net.Addr) (int, error) {
	peer, ok := addr.(*net.UDPAddr)
	if !ok {
		return len(p), nil
	}
	to, ok := a.route(unmap(peer.AddrPort()))
	if !ok {
		a.front.server.count.drop(DropForbidden)
		return len(p), nil
	}
	now, size := time.Now(), ipBytes(len(p), to.Addr())
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
	return len(p), nil
}

// route says where a packet for peer goes. To another relay address of this server it goes directly, to
// the address that is bound: what is between the server and its outside address would seldom turn it
// around.
func (a *allocation) route(peer netip.AddrPort) (netip.AddrPort, bool) {
	s := a.front.server
	if a.to.peer != peer || a.to.own {
		if s.guard.Check(peer) != guard.Allowed || peer.Addr().Is4() != a.inner.Addr().Is4() {
			return netip.AddrPort{}, false
		}
		a.to = route{peer, s.cfg.Names.Bind(peer), s.relays.known(peer)}
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

// maxReadErrors is how many reads may fail in a row, for ICMP errors and the like, before the socket is
// taken for broken.
const maxReadErrors = 64

// ReadFrom returns the next packet of a peer that has a permission.
func (a *allocation) ReadFrom(p []byte) (int, net.Addr, error) {
	for failed := 0; failed < maxReadErrors; {
		if a.held {
			if n, addr, ok := a.pop(p); ok {
				return n, addr, nil
			}
		}
		n, from, err := a.socket.ReadFromUDPAddrPort(p)
		switch {
		case err == nil:
			failed = 0
			if a.admit(p[:n], unmap(from)) {
				return n, a.from.addr, nil
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

// admit reports whether a packet may go to the client now. If so, a.from says where it came from.
func (a *allocation) admit(p []byte, from netip.AddrPort) bool {
	s := a.front.server
	if len(p) > maxDatagram {
		s.count.drop(DropOversize)
		return false
	}
	now := time.Now()
	if a.from.peer != from {
		a.from.peer = from
		if s.relays.at(from) != nil {
			from = s.cfg.Names.Outside(from)
		}
		a.from.addr = net.UDPAddrFromAddrPort(from)
	}
	// pion looks at permissions, too, but after the packet has been counted here, at the client's cost.
	if !a.permits(now, unmap(a.from.addr.AddrPort()).Addr()) {
		s.count.drop(DropNoPermission)
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
	from = a.from.addr.AddrPort()
	flow.Push(now, append(appendAddr(make([]byte, 0, addrLen+len(p)), from), p...), size, 0)
	a.held = true
	return false
}

// pop takes a held packet whose turn has come. If there is none it sets the socket's deadline to when one
// will be.
func (a *allocation) pop(p []byte) (int, net.Addr, bool) {
	a.backward.mu.Lock()
	defer a.backward.mu.Unlock()
	if a.backward.flow == nil {
		a.held = false
		return 0, nil, false
	}
	now := time.Now()
	if data, _, ok := a.backward.flow.Pop(now); ok {
		from, data := cutAddr(data)
		return copy(p, data), net.UDPAddrFromAddrPort(from), true
	}
	until := a.backward.flow.Deadline()
	if until.IsZero() {
		a.held = false
	} else if soon := now.Add(limit.Interval); soon.Before(until) {
		until = soon
	}
	_ = a.socket.SetReadDeadline(until) // closed: the read says so
	return 0, nil, false
}

// permits reports whether peer may send to the client.
func (a *allocation) permits(now time.Time, peer netip.Addr) bool {
	list := a.permissions.Load()
	if list == nil {
		return false
	}
	for _, p := range *list {
		if p.peer == peer {
			return now.Before(p.expires)
		}
	}
	return false
}

// permit makes or refreshes permissions. It reports false if they would be too many.
func (a *allocation) permit(now time.Time, peers []netip.AddrPort, dry bool) bool {
	var list []permission
	if old := a.permissions.Load(); old != nil {
		for _, p := range *old {
			if now.Before(p.expires) {
				list = append(list, p)
			}
		}
	}
next:
	for _, peer := range peers {
		for i := range list {
			if list[i].peer == peer.Addr() {
				list[i].expires = now.Add(permissionLifetime)
				continue next
			}
		}
		list = append(list, permission{peer.Addr(), now.Add(permissionLifetime)})
	}
	if len(list) > maxPermissions {
		return false
	}
	if !dry {
		a.permissions.Store(&list)
	}
	return true
}

// bindChannel makes or refreshes a channel. It reports false if they would be too many.
func (a *allocation) bindChannel(now time.Time, number uint16, dry bool) bool {
	var list []channel
	for _, c := range a.channels {
		if now.Before(c.expires) && c.number != number {
			list = append(list, c)
		}
	}
	if list = append(list, channel{number, now.Add(channelLifetime)}); len(list) > maxChannels {
		return false
	}
	if !dry {
		a.channels = list
	}
	return true
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
