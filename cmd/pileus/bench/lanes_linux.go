package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
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
	firstMark   = 0x70696c6575732121
)

// lanes is a load from the sockets that opened the pairs, lanes in turns, all
// from one goroutine. It sees the delay of each packet, and costs as much.
type lanes struct {
	all   []lane
	size  int // of a payload
	burst int
	wires *wires // if the sockets are on them
	epoll int

	out, in *batch
	events  []unix.EpollEvent
	next    int
	mark    uint64 // changes with each step: what an earlier one left behind is not counted
}

const receiveBatch = 32

func newLanes(all []lane, size, burst int, w *wires) (*lanes, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &lanes{
		all: all, size: size, burst: burst, wires: w, epoll: epoll,
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

func (l *lanes) begin(mark uint64) error {
	l.mark = mark
	if l.wires == nil {
		return nil
	}
	return l.wires.carry(false)
}

func (l *lanes) send(n int) (sent int) {
	for range n {
		sent += l.sendBurst()
	}
	return sent
}

func (l *lanes) sendBurst() int {
	lane := &l.all[l.next]
	l.next = (l.next + 1) % len(l.all)
	header := len(lane.header)
	stamp := uint64(time.Now().UnixNano())
	for i := range l.burst {
		b := l.out.data[i]
		copy(b, lane.header)
		copy(b[header:], lane.start[:])
		binary.BigEndian.PutUint64(b[header+markOffset:], l.mark)
		binary.BigEndian.PutUint64(b[header+stampOffset:], stamp)
	}
	return l.out.send(lane.out, l.burst, header+l.size, lane.to)
}

func (l *lanes) poll(f *flight) { l.collect(f) }

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
			if int(l.in.messages[i].length) != lane.adds+l.size || binary.BigEndian.Uint64(b[markOffset:]) != l.mark {
				continue
			}
			f.received++
			f.delays = append(f.delays, time.Duration(now-int64(binary.BigEndian.Uint64(b[stampOffset:]))))
		}
	}
	return total
}

func (l *lanes) end(*flight) error { return nil }

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
			// Beyond rmem_max only with CAP_NET_ADMIN; without it the system's must do.
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer)
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketBuffer)
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
