package udp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Poller waits for several sockets at once on its caller's own thread. The Go
// runtime's poller is general, and at tens of thousands of wake-ups a second its
// price (a goroutine switch and a stir of the runtime's monitor thread each) is
// higher than that of the work. A busy Poller also lets packets gather for a
// moment, as network interfaces do.
type Poller struct {
	epoll  int
	wake   int // eventfd
	events []unix.EpollEvent
	pace   pace
	in     *inbound // of all sockets
	out    *outbound

	mu   sync.Mutex // of Wake and Close
	done bool
}

// maxSendWait is how long a full send buffer may hold up the reader, and stuckFor how long after that it
// may not again: an interface that takes nothing costs the others a twentieth of the time at most.
const (
	maxSendWait = int(writePatience / time.Millisecond)
	stuckFor    = 20 * writePatience
)

// wakeEvent stands for the eventfd among the indexes of sockets.
const wakeEvent = -1

// NewPoller takes conns over: from now on one goroutine alone waits, reads from
// them by Conn.ReadReady, writes to them, and closes them.
func NewPoller(conns []*Conn) (p *Poller, err error) {
	p = &Poller{epoll: -1, wake: -1, events: make([]unix.EpollEvent, len(conns)+1), in: newInbound(), out: newOutbound()}
	defer func() {
		if err != nil {
			p.Close()
			p, err = nil, fmt.Errorf("udp: poller: %w", err)
		}
	}()
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return p, err
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return p, err
	}
	if err = p.watch(p.wake, wakeEvent); err != nil {
		return p, err
	}
	for i, c := range conns {
		if err := p.take(c, i); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *Poller) take(c *Conn, index int) error {
	fd, err := c.detach(p.in, p.out)
	if err != nil {
		return err
	}
	return p.watch(fd, index)
}

// Add takes one more over, which Wait will call index. It is for the goroutine that waits.
func (p *Poller) Add(c *Conn, index int) error {
	if err := p.take(c, index); err != nil {
		return fmt.Errorf("udp: poller: %w", err)
	}
	if index >= len(p.events)-1 {
		p.events = make([]unix.EpollEvent, index+2) // Wait goes on with those that it has
	}
	return nil
}

// Remove waits for c no longer. To close it would not do: a twin holds the socket, too.
func (p *Poller) Remove(c *Conn) {
	_ = c.batch.(*mmsg).socket.Control(func(fd uintptr) { _ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, int(fd), nil) })
}

func (p *Poller) watch(fd, index int) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index)})
}

// Wait blocks for d, or until Wake, or until sockets have something to read, and
// calls ready with the index of each of these. A signal ends it too.
func (p *Poller) Wait(d time.Duration, ready func(conn int)) error {
	if gather := p.pace.gather(); gather > 0 && d > gather {
		nap := unix.NsecToTimespec(int64(gather))
		_ = unix.Nanosleep(&nap, nil) // cut short by a signal: no harm
	}
	ms := int((max(d, 0) + time.Millisecond - 1) / time.Millisecond)
	n, err := unix.EpollWait(p.epoll, p.events, ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("udp: poller: %w", err)
	}
	for _, e := range p.events[:max(n, 0)] {
		if e.Fd == wakeEvent {
			var b [8]byte
			_, _ = unix.Read(p.wake, b[:])
			continue
		}
		ready(int(e.Fd))
	}
	return nil
}

// Arrived tells how many datagrams the last Wait brought.
func (p *Poller) Arrived(now time.Time, n int) { p.pace.arrived(now, n) }

// Wake ends a Wait. It may be called from any goroutine and at any time.
func (p *Poller) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return // the descriptor may be somebody else's by now
	}
	one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1} // not 0, in any byte order
	_, _ = unix.Write(p.wake, one[:])      // full: it is awake
}

// Close does not close the sockets.
func (p *Poller) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return
	}
	p.done = true
	for _, fd := range []int{p.epoll, p.wake} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// Twin returns a second handle to the socket, to send from another goroutine. It
// has its own buffers and counters; it is to be closed, too, and not to be read.
func (c *Conn) Twin() (*Conn, error) {
	fd, err := c.duplicate()
	if err != nil {
		return nil, fmt.Errorf("udp: twin of %s: %w", c.local, err)
	}
	t := &Conn{socket: c.socket, local: c.local, receive: c.receive, send: c.send, counts: new(counters)}
	t.attach(fd, newInbound(), newOutbound())
	return t, nil
}

// duplicate returns another descriptor of the socket.
func (c *Conn) duplicate() (int, error) {
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dup := -1, error(nil)
	if err := raw.Control(func(s uintptr) { fd, dup = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, dup
}

// detach takes the socket out of the runtime's poller: a duplicate of its
// descriptor stays, the original is closed.
func (c *Conn) detach(in *inbound, out *outbound) (int, error) {
	fd, err := c.duplicate()
	if err != nil {
		return -1, err
	}
	if err := c.socket.Close(); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	c.attach(fd, in, out)
	return fd, nil
}

// attach lets c work on a descriptor outside the runtime's poller.
func (c *Conn) attach(fd int, in *inbound, out *outbound) {
	s := &rawSocket{fd: fd}
	c.closer = s.close
	c.batch = newMmsg(s, c.local, c.counts, in, out)
}

// rawSocket is a socket outside the runtime's poller: a syscall.RawConn that never
// waits to read. Reads and writes come from one goroutine, which is also the one
// that closes.
type rawSocket struct {
	fd    int
	stuck time.Time // when it was waited for in vain
}

func (s *rawSocket) close() error {
	if s.fd < 0 {
		return net.ErrClosed
	}
	err := unix.Close(s.fd)
	s.fd = -1
	return err
}

func (s *rawSocket) Control(f func(uintptr)) error { f(uintptr(s.fd)); return nil }

func (s *rawSocket) Read(f func(uintptr) bool) error {
	if s.fd < 0 {
		return net.ErrClosed
	}
	if !f(uintptr(s.fd)) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Write waits a moment for room in the send buffer, which drains at the speed of
// the interface; then the reader must not wait any longer.
func (s *rawSocket) Write(f func(uintptr) bool) error {
	if s.fd < 0 {
		return net.ErrClosed
	}
	for !f(uintptr(s.fd)) {
		if !s.stuck.IsZero() && time.Since(s.stuck) < stuckFor {
			return os.ErrDeadlineExceeded
		}
		fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(fds, maxSendWait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n == 0 {
			s.stuck = time.Now()
			return os.ErrDeadlineExceeded
		}
	}
	return nil
}

// ReadReady is ReadBatch for a socket of a Poller: 0 if there is nothing to read.
func (c *Conn) ReadReady(d []Datagram) (int, error) {
	if len(d) == 0 {
		return 0, nil
	}
	n, err := c.batch.read(d[:min(len(d), maxBatch)])
	if err != nil {
		return 0, c.broken(err)
	}
	return n, nil
}

// land is ReadReady into l.
func (c *Conn) land(l *landing) ([]Datagram, error) {
	m, ok := c.batch.(*mmsg)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	d, err := m.land(l)
	if err != nil {
		return nil, c.broken(err)
	}
	return d, nil
}

// broken returns nil for errors that say nothing about the socket.
func (c *Conn) broken(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil // nothing to read
	}
	c.counts.readErrors.Add(1)
	if fromICMP(err) {
		return nil
	}
	return fmt.Errorf("udp: %s: %w", c.local, err)
}
