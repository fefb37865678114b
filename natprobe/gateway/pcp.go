package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// pcp asks the default router for a mapping of the very port that it is asked
// from, and so for its outside address. The socket hears nobody but the router:
// the mapping opens nothing.
func (n *network) pcp(ctx context.Context) (t told, err error) {
	if !n.router.IsValid() {
		return told{}, errNoRouter
	}
	t.at = n.router.Addr()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", n.router.String())
	if err != nil {
		return t, err
	}
	defer conn.Close()
	m := mapping{lifetime: mappingTime}
	local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	m.client = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	_, _ = rand.Read(m.nonce[:]) // never fails
	g, err := m.exchange(ctx, conn)
	switch {
	case err == nil && g.result == resultSuccess:
		if m.release(ctx, conn) != nil {
			t.remark = fmt.Sprintf("the mapping that this took could not be released: it ends by itself in %v", min(g.lifetime, maxLifetime))
		}
	case err != nil:
		// Perhaps only the answer was lost.
		m.lifetime = 0
		_, _ = conn.Write(m.request()) // whether it arrives is not to be known
	}
	if err == nil {
		err = g.refusal()
	}
	t.external = g.external.Addr()
	return t, err
}

// maxLifetime is the longest that is believed (RFC 6887 section 15).
const maxLifetime = 24 * time.Hour

// refusal says why nothing was granted, nil if it was.
func (g granted) refusal() error {
	switch {
	case g.version == 0:
		return sayError("it speaks NAT-PMP, the older protocol, instead")
	case g.version != pcpVersion:
		return sayError(fmt.Sprintf("it speaks version %d, not %d", g.version, pcpVersion))
	case g.result == resultAddressMismatch:
		return sayError("there is a NAT between this host and it")
	case g.result == resultNetworkFailure:
		return errNoAddress
	case g.result != resultSuccess:
		return sayError("it refuses: " + g.result.String())
	}
	return nil
}

// exchange sends a request until it is answered or ctx is done.
func (m mapping) exchange(ctx context.Context, conn net.Conn) (granted, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	request, buf := m.request(), make([]byte, maxPCP+1)
	for wait := firstWait; ; wait *= 2 {
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return granted{}, ctx.Err()
		case ctx.Err() != nil:
			return granted{}, errSilent
		}
		if _, err := conn.Write(request); err != nil {
			return granted{}, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return granted{}, err
		}
		for ctx.Err() == nil {
			read, err := conn.Read(buf)
			if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
				break // and again
			}
			if err != nil {
				return granted{}, err
			}
			if g, ok := m.parse(buf[:read]); ok {
				return g, nil
			}
		}
	}
}

// release takes a mapping back, also when ctx is done: it was granted.
func (m mapping) release(ctx context.Context, conn net.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	m.lifetime = 0
	g, err := m.exchange(ctx, conn)
	if err != nil {
		return err
	}
	return g.refusal()
}
