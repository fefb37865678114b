package udp

import (
	"errors"
	"fmt"
	"net/netip"
)

// ListenFamilies opens the sockets of a client: one for each address family that
// this machine has, at ports of the system's choice.
func ListenFamilies(o Options) ([]Socket, error) {
	var sockets []Socket
	var errs []error
	for _, ip := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		c, err := Listen(netip.AddrPortFrom(ip, 0), o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		sockets = append(sockets, c)
	}
	if len(sockets) == 0 {
		return nil, fmt.Errorf("cannot open a UDP socket: %w", errors.Join(errs...))
	}
	return sockets, nil
}

// OwnAddrs lists the addresses under which hosts of the same network reach the
// sockets; under those of loopback, if asked for, this machine alone does.
func OwnAddrs(sockets []Socket, loopback bool) []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, s := range sockets {
		expanded, err := Expand(s.LocalAddr())
		if err != nil {
			continue // no address of this family
		}
		for _, a := range expanded {
			if loopback || !a.Addr().IsLoopback() {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs
}
