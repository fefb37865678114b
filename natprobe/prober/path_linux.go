package prober

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pathConn is a socket to one address that is told what ICMP says of its packets, and by
// whom (ip(7), IP_RECVERR): no privileges are needed for that.
type pathConn struct {
	*net.UDPConn
	raw syscall.RawConn
	six bool
}

// openPath opens one, on an address of this host's; zero: the one that leads there.
func openPath(ctx context.Context, local netip.Addr, to netip.AddrPort) (*pathConn, error) {
	var d net.Dialer
	if local.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	conn, err := d.DialContext(ctx, "udp", to.String())
	if err != nil {
		return nil, err
	}
	p := &pathConn{UDPConn: conn.(*net.UDPConn), six: to.Addr().Is6()} //nolint:forcetypeassert // "udp" makes no other
	if p.raw, err = p.SyscallConn(); err == nil {
		err = p.set(unix.IP_RECVERR, unix.IPV6_RECVERR, 1)
	}
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// setTTL has packets from now on end at so many hops.
func (p *pathConn) setTTL(hops int) error {
	return p.set(unix.IP_TTL, unix.IPV6_UNICAST_HOPS, hops)
}

func (p *pathConn) set(four, six, value int) error {
	level, option := unix.IPPROTO_IP, four
	if p.six {
		level, option = unix.IPPROTO_IPV6, six
	}
	var failed error
	err := p.raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, value) })
	return errors.Join(err, failed)
}

// next waits for a packet or for word of ICMP, until deadline.
func (p *pathConn) next(deadline time.Time) (said icmpError, data []byte, err error) {
	if err := p.SetReadDeadline(deadline); err != nil {
		return said, nil, err
	}
	buf, control := make([]byte, 2048), make([]byte, 512)
	err = p.raw.Read(func(fd uintptr) bool {
		for range maxQueued {
			// Those of the queue come with the packet that they are about.
			_, n, _, _, failed := unix.Recvmsg(int(fd), buf, control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if failed == nil {
				if said = parseErrors(control[:n]); said.by.IsValid() {
					return true
				}
				continue
			}
			n, _, failed = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			switch {
			case failed == nil:
				data = buf[:n]
				return true
			case errors.Is(failed, unix.EAGAIN):
				return false
			}
			// The error itself is told by the queue, which is read next.
		}
		return false
	})
	return said, data, err
}

// maxQueued is how much of the queue is passed over in one turn: errors of this host's
// own, which say nothing of the way.
const maxQueued = 16

// parseErrors reads the control messages of an error queue (struct sock_extended_err,
// and behind it the address of who said it).
func parseErrors(control []byte) (said icmpError) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return said
	}
	const extended = int(unsafe.Sizeof(unix.SockExtendedErr{}))
	for _, m := range messages {
		if len(m.Data) < extended+4 {
			continue
		}
		origin, typ, code, offender := m.Data[4], m.Data[5], m.Data[6], m.Data[extended:]
		switch family := binary.NativeEndian.Uint16(offender); {
		case origin == unix.SO_EE_ORIGIN_ICMP && family == unix.AF_INET && len(offender) >= 8:
			said = icmpError{by: netip.AddrFrom4([4]byte(offender[4:8])), kind: icmp4.kind(typ, code)}
		case origin == unix.SO_EE_ORIGIN_ICMP6 && family == unix.AF_INET6 && len(offender) >= 24:
			said = icmpError{by: netip.AddrFrom16([16]byte(offender[8:24])), kind: icmp6.kind(typ, code)}
		}
	}
	return said
}

// icmpCodes are the numbers of a version of ICMP.
type icmpCodes struct {
	unreachable, exceeded     uint8   // types
	port, prohibited, nowhere []uint8 // codes of unreachable
}

var (
	// RFC 792, RFC 1812 section 5.2.7.1.
	icmp4 = icmpCodes{3, 11, []uint8{3}, []uint8{9, 10, 13}, []uint8{0, 1, 5, 6, 7, 11, 12}}
	// RFC 4443 section 3.
	icmp6 = icmpCodes{1, 3, []uint8{4}, []uint8{1, 5, 6}, []uint8{0, 2, 3}}
)

func (c icmpCodes) kind(typ, code uint8) icmpKind {
	switch {
	case typ == c.exceeded:
		return icmpExpired
	case typ != c.unreachable:
		return icmpOther
	case slices.Contains(c.port, code):
		return icmpPort
	case slices.Contains(c.prohibited, code):
		return icmpProhibited
	case slices.Contains(c.nowhere, code):
		return icmpUnreachable
	}
	return icmpOther
}
