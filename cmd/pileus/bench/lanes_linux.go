package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A lane is one direction of one relayed pair: what is sent from one socket
// comes out of another.
type lane struct {
	out, in int // sockets
	to      unix.RawSockaddrInet4
	header  []byte           // that the relay takes away
	start   [markOffset]byte // of the payload
	adds    int              // bytes that the relay puts before the payload
}

// Of a payload the first bytes are the relay's to look at, then follow a mark
// and the time of sending.
const (
	markOffset  = 16
	stampOffset = markOffset + 8
	laneMark    = 0x70696c6575732121
)

// lanes is a load: lanes in turns, all from one goroutine.
type lanes struct {
	all   []lane
	size  int // of a payload
	epoll int

	out, in *batch
	events  []unix.EpollEvent
	next    int
	marks   uint64 // changes with each step: what an earlier one left behind is not counted
}

const receiveBatch = 32

func newLanes(all []lane, size int) (*lanes, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &lanes{
		all: all, size: size, epoll: epoll, marks: laneMark,
		out:    newBatch(maxBurst, maxRelaySize+64),
		in:     newBatch(receiveBatch, 128),
		events: make([]unix.EpollEvent, 256),
	}
	for i, lane := range all {
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, lane.in, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *lanes) close() { _ = unix.Close(l.epoll) }

// A flight is what came of a load.
type flight struct {
	sent     int
	inTime   int // came while there was still some sent
	received int // or within grace after that
	took     time.Duration
	behind   bool // the load could not be sent as fast as it should
	delays   []time.Duration
}

func (f flight) lost() float64 { return 1 - float64(f.received)/float64(max(1, f.sent)) }

// perSecond is what was delivered.
func (f flight) perSecond() float64 { return float64(f.inTime) / f.took.Seconds() }

const (
	// turnSends is how many packets are sent before those that came are read.
	turnSends = 32
	// grace is how long packets may be on their way when the last was sent. It is
	// short beside any load, or a relay's queues would hide what is too much.
	grace = 20 * time.Millisecond
	// silence of a relay says that its queues are empty, which is awaited for at
	// most maxDrain.
	silence  = 50 * time.Millisecond
	maxDrain = 5 * time.Second
	// pause is longer than any turn takes.
	pause = 2 * time.Millisecond
	// keptUp is the share of its rate that a load must reach.
	keptUp = 0.97
)

// fly sends so many packets a second for d, burst of them from one lane before
// the next has its turn.
func (l *lanes) fly(ctx context.Context, perSecond, burst int, d time.Duration) (flight, error) {
	l.marks++
	f := flight{delays: make([]time.Duration, 0, int(float64(perSecond)*d.Seconds())+1)}
	p := pace{start: time.Now(), perSecond: perSecond}
	began, now := p.start, p.start
	for now.Sub(began) < d {
		if err := ctx.Err(); err != nil {
			return f, err
		}
		due := min(p.due(now), turnSends)
		for due >= burst {
			f.sent += l.burst(burst)
			p.sent += burst
			due -= burst
		}
		l.collect(&f)
		turned := time.Now()
		// Somebody else had the core: no heap of packets after it.
		if gap := turned.Sub(now); gap > pause {
			p.start = p.start.Add(gap)
		}
		now = turned
	}
	f.took = now.Sub(began)
	f.behind = float64(f.sent) < keptUp*float64(perSecond)*f.took.Seconds()
	f.inTime = f.received
	for time.Since(now) < grace && f.received < f.sent {
		l.collect(&f)
	}
	var late flight
	for heard := time.Now(); time.Since(heard) < silence && time.Since(now) < maxDrain; {
		if l.collect(&late) > 0 {
			heard = time.Now()
		}
	}
	return f, nil
}

func (l *lanes) burst(n int) int {
	lane := &l.all[l.next]
	l.next = (l.next + 1) % len(l.all)
	header := len(lane.header)
	stamp := uint64(time.Now().UnixNano())
	for i := range n {
		b := l.out.data[i]
		copy(b, lane.header)
		copy(b[header:], lane.start[:])
		binary.BigEndian.PutUint64(b[header+markOffset:], l.marks)
		binary.BigEndian.PutUint64(b[header+stampOffset:], stamp)
	}
	return l.out.send(lane.out, n, header+l.size, lane.to)
}

// collect reads what has come, and returns how much that is.
func (l *lanes) collect(f *flight) (total int) {
	n, err := unix.EpollWait(l.epoll, l.events, 0)
	if err != nil {
		return 0
	}
	for _, e := range l.events[:n] {
		lane := &l.all[e.Fd]
		came := l.in.receive(lane.in)
		now := time.Now().UnixNano()
		total += came
		for i := range came {
			b := l.in.data[i][lane.adds:]
			if int(l.in.messages[i].length) != lane.adds+l.size || binary.BigEndian.Uint64(b[markOffset:]) != l.marks {
				continue
			}
			f.received++
			f.delays = append(f.delays, time.Duration(now-int64(binary.BigEndian.Uint64(b[stampOffset:]))))
		}
	}
	return total
}

// quantile of delays, which it sorts.
func (f flight) quantile(q float64) time.Duration {
	if len(f.delays) == 0 {
		return 0
	}
	slices.Sort(f.delays)
	return f.delays[int(q*float64(len(f.delays)-1))]
}

// sockets opens n of them in a namespace, bound to addr and ports of the
// system's choice.
func sockets(namespace string, addr netip.Addr, n int) (fds []int, err error) {
	err = inNamespace(namespace, func() error {
		for range n {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return err
			}
			fds = append(fds, fd)
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer); err != nil {
				return err
			}
			if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.As4()}); err != nil {
				return fmt.Errorf("bind %v: %w", addr, err)
			}
		}
		return nil
	})
	return fds, err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

func localOf(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	in4, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return netip.AddrPort{}, errors.New("not an IPv4 socket")
	}
	return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)), nil
}
