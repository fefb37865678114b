package turn

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"pileus/rtmfp/udp"
)

// A memory is a network without delay or loss, so that all the time there is may be a bubble's.
type memory struct {
	t       *testing.T
	mu      sync.Mutex
	sockets map[netip.AddrPort]*memorySocket
}

type memoryPacket struct {
	data []byte
	from netip.AddrPort
}

// A memorySocket is a relaySocket. Its deadline is its reader's to set.
type memorySocket struct {
	net      *memory
	at       netip.AddrPort
	in       chan memoryPacket
	closed   chan struct{}
	close    sync.Once
	deadline time.Time
}

// memoryQueue (packets) is more than come before a reader has its turn.
const memoryQueue = 64

func (m *memory) bind(at netip.AddrPort) *memorySocket {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &memorySocket{net: m, at: at, in: make(chan memoryPacket, memoryQueue), closed: make(chan struct{})}
	m.sockets[at] = s
	return s
}

func (s *memorySocket) WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error) {
	s.net.mu.Lock()
	far := s.net.sockets[to]
	s.net.mu.Unlock()
	if far == nil {
		s.net.t.Errorf("%v sends to nobody at %v", s.at, to)
		return len(p), nil
	}
	select {
	case far.in <- memoryPacket{append([]byte(nil), p...), s.at}:
	default:
		s.net.t.Errorf("%v does not read", to)
	}
	return len(p), nil
}

func (s *memorySocket) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	var late <-chan time.Time
	if !s.deadline.IsZero() {
		timer := time.NewTimer(time.Until(s.deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-s.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	default:
	}
	select {
	case <-s.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	case <-late:
		return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
	case d := <-s.in:
		return copy(p, d.data), d.from, nil
	}
}

func (s *memorySocket) SetReadDeadline(t time.Time) error { s.deadline = t; return nil }
func (s *memorySocket) LocalAddr() net.Addr               { return net.UDPAddrFromAddrPort(s.at) }
func (s *memorySocket) Close() error {
	err := net.ErrClosed
	s.close.Do(func() { close(s.closed); err = nil })
	return err
}

// empty takes what is there to be read, and says how many packets that is.
func (s *memorySocket) empty() int {
	for n := 0; ; n++ {
		select {
		case <-s.in:
		default:
			return n
		}
	}
}

// A memoryConn is connected to one other.
type memoryConn struct {
	*memorySocket
	to netip.AddrPort
}

func (c *memoryConn) Write(p []byte) (int, error)      { return c.WriteToUDPAddrPort(p, c.to) }
func (c *memoryConn) RemoteAddr() net.Addr             { return net.UDPAddrFromAddrPort(c.to) }
func (c *memoryConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
func (c *memoryConn) Read(p []byte) (int, error) {
	n, _, err := c.ReadFromUDPAddrPort(p)
	return n, err
}

// A memoryLink is a server's Socket.
type memoryLink struct{ *memorySocket }

func (l memoryLink) LocalAddr() netip.AddrPort { return l.at }

func (l memoryLink) Send(p []byte, to netip.AddrPort) error {
	_, err := l.WriteToUDPAddrPort(p, to)
	return err
}

func (l memoryLink) ReadBatch(d []udp.Datagram) (int, error) {
	b := d[0].Data[:cap(d[0].Data)]
	n, from, err := l.ReadFromUDPAddrPort(b)
	d[0].Data, d[0].Peer = b[:n], from
	return 1, err
}
