package bench

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket sends from many addresses: the source of each datagram is chosen by
// an IP_PKTINFO control message, and the same message tells which of them an
// incoming one was sent to.
//
// It is used from one goroutine and makes its system calls directly: the
// runtime's poller rounds waits up to a millisecond, and latencies here are
// tens of microseconds.
type socket struct {
	fd     int
	server unix.SockaddrInet4
	base   uint32 // first address of the source block
	out    []byte // control message of outgoing datagrams
	in     []byte
}

const socketBuffer = 8 << 20 // bytes; a burst of 2,000 answers must not be lost here

var pktinfoLen = unix.CmsgSpace(unix.SizeofInet4Pktinfo)

func listen(server netip.AddrPort, sources netip.Prefix) (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &socket{
		fd:     fd,
		server: unix.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()},
		base:   be32(sources.Masked().Addr().As4()),
		out:    make([]byte, pktinfoLen),
		in:     make([]byte, pktinfoLen),
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.out[0]))
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))

	for _, opt := range []struct{ level, name, value int }{
		{unix.IPPROTO_IP, unix.IP_PKTINFO, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, socketBuffer},
	} {
		if err := unix.SetsockoptInt(fd, opt.level, opt.name, opt.value); err != nil {
			_ = unix.Close(fd)
			return nil, err
		}
	}
	// Beyond rmem_max only with CAP_NET_ADMIN; without it the above must do.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer)
	if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return s, nil
}

func (s *socket) close() error { return unix.Close(s.fd) }

// send sends a datagram to the server from source address i.
func (s *socket) send(i int, datagram []byte) error { return s.sendTo(i, &s.server, datagram) }

func (s *socket) sendTo(i int, to *unix.SockaddrInet4, datagram []byte) error {
	// struct in_pktinfo: interface index, source address, destination address.
	binary.BigEndian.PutUint32(s.out[unix.CmsgLen(0)+4:], s.base+sourceOffset(i))
	for {
		_, err := unix.SendmsgN(s.fd, datagram, s.out, to, 0)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
			fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
			_, _ = unix.Poll(fds, 1)
		case errors.Is(err, unix.EINTR):
		default:
			return err
		}
	}
}

// receive reads a waiting datagram into b and says who sent it, and which source
// it was sent to; ok is false when none waits.
func (s *socket) receive(b []byte) (n, i int, from unix.Sockaddr, ok bool, err error) {
	for {
		n, oobn, _, from, err := unix.Recvmsg(s.fd, b, s.in, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return 0, 0, nil, false, nil
		case err != nil:
			return 0, 0, nil, false, err
		case oobn < unix.CmsgLen(unix.SizeofInet4Pktinfo):
			return 0, 0, nil, false, errors.New("no destination address with a datagram")
		}
		to := binary.BigEndian.Uint32(s.in[unix.CmsgLen(0)+8:])
		return n, sourceIndex(to - s.base), from, true, nil
	}
}

// wait returns when a datagram waits or d has passed.
func (s *socket) wait(d time.Duration) {
	if d < 0 {
		d = 0
	}
	ts := unix.NsecToTimespec(int64(d))
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	_, _ = unix.Ppoll(fds, &ts, nil)
}

// Source i is host 1 of the i-th /24, leaving out the first 256 of them: a
// server may be configured by hand there.
func sourceOffset(i int) uint32  { return uint32(i+256)<<8 | 1 }
func sourceIndex(off uint32) int { return int(off>>8) - 256 }

func be32(a [4]byte) uint32 { return binary.BigEndian.Uint32(a[:]) }
