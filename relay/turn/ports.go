package turn

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"pileus/rtmfp/udp"
)

// A relaySocket is what a relay address is bound to: a *net.UDPConn, or a test's socket in memory, with
// which the time is not the machine's.
type relaySocket interface {
	ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error)
	SetReadDeadline(t time.Time) error
	LocalAddr() net.Addr
	Close() error
}

// relays are the live allocations by the address they are bound to, and the ports that are left.
type relays struct {
	first, last uint16
	names       udp.Names
	listen      func(at netip.AddrPort) (relaySocket, error)

	mu   sync.RWMutex
	live map[netip.AddrPort]*allocation
}

var errNoPort = errors.New("turn: no port of the range is free")

// bind opens a socket at a port of the range, an even one if even, and then one at the next port, too, if
// pair. RFC 8656 section 7.2 recommends random ports; from a random one on all are tried, so that none is
// left over when clients are turned away.
func (r *relays) bind(at netip.Addr, even, pair bool) (socket, next relaySocket, err error) {
	n, tries := int(r.last)-int(r.first)+1, 0
	start := rand.IntN(n)
	for i := range n {
		a := netip.AddrPortFrom(at, r.first+uint16((start+i)%n))
		if even && a.Port()%2 != 0 || pair && a.Port() == r.last || r.at(a) != nil {
			continue
		}
		if socket, err = r.listen(a); err == nil && pair {
			if next, err = r.listen(netip.AddrPortFrom(at, a.Port()+1)); err != nil {
				_ = socket.Close()
			}
		}
		if err == nil {
			return socket, next, nil
		}
		if tries++; tries == maxBinds {
			return nil, nil, err
		}
	}
	return nil, nil, errNoPort
}

func listenRelay(at netip.AddrPort) (relaySocket, error) {
	network := "udp6"
	if at.Addr().Is4() {
		network = "udp4"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(relayBuffer) // less is granted as well
	return c, nil
}

func (r *relays) add(a *allocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[a.inner] = a
}

func (r *relays) remove(a *allocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, a.inner)
}

func (r *relays) count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.live)
}

// at returns the allocation that is bound to inner, or nil.
func (r *relays) at(inner netip.AddrPort) *allocation {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.live[inner]
}

// known reports whether a, an inside or outside name, is a live relay address.
func (r *relays) known(a netip.AddrPort) bool { return r.at(r.names.Bind(a)) != nil }
