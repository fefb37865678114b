package turn

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v2"

	"pileus/relay/limit"
)

// An allocation is a client's relay address. pion reads and writes it as its relay socket, and closes it
// when the allocation ends.
type allocation struct {
	noDeadlines
	front       *front
	client      netip.AddrPort
	alias       alias
	owner       identity
	transaction [stun.TransactionIDSize]byte
	opened      time.Time
	expires     atomic.Int64 // Unix time in nanoseconds
	expiry      *time.Timer  // closes it then

	socket       relaySocket
	inner, outer netip.AddrPort
	pair         *limit.Pair
	reserved     *reservation // the next port, until it ends; or nil

	peers atomic.Pointer[peers]
	to    route // of the packet before: the front's reader's
	over  struct {
		peers *peers
		channel
	} // of the ChannelData before: the front's reader's
	from   source                                // of the packet before: the relay reader's
	buffer [channelHeader + maxDatagram + 1]byte // a packet of a peer: the relay reader's

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
	a.expiry.Stop()
	a.front.server.relays.remove(a)
	if a.reserved != nil {
		a.front.server.reserved.end(a.reserved)
	}
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

// addrOf is where a socket is bound.
func addrOf(c relaySocket) netip.AddrPort { return unmap(c.LocalAddr().(*net.UDPAddr).AddrPort()) }

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
