// Package memnet is a network in memory for tests under testing/synctest: UDP
// sockets joined by a path that delays, loses, repeats, reorders and corrupts
// datagrams, and that can rebind an address as a NAT does.
package memnet

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"pileus/rtmfp/udp"
)

// Path is how every datagram fares.
type Path struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // up to so much more: reorders
	Loss      float64       // shares of 1
	Duplicate float64
	Corrupt   float64
	CE        float64 // ECT datagrams marked Congestion Experienced
}

// Network joins sockets. It is safe for concurrent use.
type Network struct {
	mu      sync.Mutex
	rand    *rand.Rand
	path    Path
	sockets map[netip.AddrPort]*Socket
	outside map[netip.AddrPort]netip.AddrPort // bound address to what others see
	watch   func(from, to netip.AddrPort, data []byte)
}

// New makes a network whose accidents follow from seed.
func New(seed uint64, p Path) *Network {
	return &Network{
		rand: rand.New(rand.NewPCG(seed, 1)), path: p,
		sockets: make(map[netip.AddrPort]*Socket), outside: make(map[netip.AddrPort]netip.AddrPort),
	}
}

// SetPath changes how datagrams sent from now on fare.
func (n *Network) SetPath(p Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.path = p
}

// Watch calls f with every datagram sent, as it is sent.
func (n *Network) Watch(f func(from, to netip.AddrPort, data []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watch = f
}

// Rebind lets what is bound to at be seen as outside from now on; what is sent
// to the address it had before is lost.
func (n *Network) Rebind(at, outside netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outside[at] = outside
}

// Cut takes a socket off the network without closing it, like a power failure.
func (n *Network) Cut(at netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.sockets, at)
}

// Inject delivers a datagram with a forged source.
func (n *Network) Inject(from, to netip.AddrPort, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deliver(from, to, udp.Datagram{Data: bytes.Clone(data)}, 0)
}

// Listen binds a socket.
func (n *Network) Listen(at netip.AddrPort) *Socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[at] != nil {
		panic(fmt.Sprintf("memnet: %v is taken", at))
	}
	s := &Socket{net: n, at: at, inbox: make(chan udp.Datagram, 4096), closed: make(chan struct{})}
	n.sockets[at] = s
	return s
}

// Socket is a bound UDP socket with the methods of udp.Conn.
type Socket struct {
	net    *Network
	at     netip.AddrPort
	inbox  chan udp.Datagram
	closed chan struct{}
	once   sync.Once
}

// LocalAddr is the bound address.
func (s *Socket) LocalAddr() netip.AddrPort { return s.at }

// ReadBatch blocks for one datagram and takes what else there is.
func (s *Socket) ReadBatch(d []udp.Datagram) (int, error) {
	select {
	case in := <-s.inbox:
		n := 0
		for {
			d[n].Peer, d[n].TOS = in.Peer, in.TOS
			d[n].Data = append(d[n].Data[:0], in.Data...)
			if n++; n == len(d) {
				return n, nil
			}
			select {
			case in = <-s.inbox:
			default:
				return n, nil
			}
		}
	case <-s.closed:
		return 0, fmt.Errorf("memnet: %w", net.ErrClosed)
	}
}

// WriteBatch sends.
func (s *Socket) WriteBatch(d []udp.Datagram) (int, error) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	from := s.at
	if o, ok := s.net.outside[from]; ok {
		from = o
	}
	for i := range d {
		s.net.send(from, d[i])
	}
	return len(d), nil
}

// Close unblocks ReadBatch.
func (s *Socket) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.net.Cut(s.at)
	})
	return nil
}

func (n *Network) send(from netip.AddrPort, d udp.Datagram) {
	if n.watch != nil {
		n.watch(from, d.Peer, d.Data)
	}
	p := n.path
	if n.rand.Float64() < p.Loss {
		return
	}
	copies := 1
	if n.rand.Float64() < p.Duplicate {
		copies = 2
	}
	for range copies {
		c := udp.Datagram{TOS: d.TOS, Data: bytes.Clone(d.Data)}
		if n.rand.Float64() < p.Corrupt {
			c.Data[n.rand.IntN(len(c.Data))] ^= 1 << n.rand.IntN(8)
		}
		if c.TOS&3 == 2 && n.rand.Float64() < p.CE {
			c.TOS |= 3
		}
		delay := p.Delay
		if p.Jitter > 0 {
			delay += time.Duration(n.rand.Int64N(int64(p.Jitter)))
		}
		n.deliver(from, d.Peer, c, delay)
	}
}

func (n *Network) deliver(from, to netip.AddrPort, d udp.Datagram, delay time.Duration) {
	d.Peer = from
	time.AfterFunc(delay, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if s := n.bound(to); s != nil {
			select {
			case s.inbox <- d:
			default: // a full receive buffer
			}
		}
	})
}

func (n *Network) bound(outside netip.AddrPort) *Socket {
	for at, o := range n.outside {
		if o == outside {
			return n.sockets[at]
		}
	}
	if _, moved := n.outside[outside]; moved {
		return nil
	}
	return n.sockets[outside]
}
