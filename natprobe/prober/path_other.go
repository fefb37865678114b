//go:build !linux

package prober

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// pathConn is a socket to one address. Elsewhere than on Linux it hears that a port is
// closed, and not who says so.
type pathConn struct{ *net.UDPConn }

func openPath(ctx context.Context, local netip.Addr, to netip.AddrPort) (*pathConn, error) {
	var d net.Dialer
	if local.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	conn, err := d.DialContext(ctx, "udp", to.String())
	if err != nil {
		return nil, err
	}
	return &pathConn{conn.(*net.UDPConn)}, nil //nolint:forcetypeassert // "udp" makes no other
}

func (p *pathConn) setTTL(int) error { return errors.ErrUnsupported }

func (p *pathConn) next(deadline time.Time) (said icmpError, data []byte, err error) {
	if err := p.SetReadDeadline(deadline); err != nil {
		return said, nil, err
	}
	buf := make([]byte, 2048)
	n, err := p.Read(buf)
	failed, ok := errors.AsType[net.Error](err)
	switch {
	case err == nil:
		return said, buf[:n], nil
	case ok && failed.Timeout() || errors.Is(err, net.ErrClosed):
		return said, nil, err
	}
	return icmpError{kind: icmpPort}, nil, nil
}
