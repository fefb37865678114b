package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"pileus/rtmfp"
	"pileus/rtmfp/udp"
)

// listen binds a socket for each address family that this machine has.
func listen() ([]rtmfp.Socket, error) {
	var sockets []rtmfp.Socket
	var errs []error
	for _, ip := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		c, err := udp.Listen(netip.AddrPortFrom(ip, 0), udp.Options{})
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

// reachable keeps the addresses that one of the sockets can send to.
func reachable(addrs []netip.AddrPort, sockets []rtmfp.Socket) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool {
		return !slices.ContainsFunc(sockets, func(s rtmfp.Socket) bool {
			return s.LocalAddr().Addr().Is4() == a.Addr().Is4()
		})
	})
}

// reported lists the addresses under which peers on the same network can reach
// the sockets. Loopback is one only for those who share this machine with the
// server.
func reported(sockets []rtmfp.Socket, servers []netip.AddrPort) []netip.AddrPort {
	local := !slices.ContainsFunc(servers, func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() })
	var addrs []netip.AddrPort
	for _, s := range sockets {
		expanded, err := udp.Expand(s.LocalAddr())
		if err != nil {
			continue // no address of this family: nothing to report
		}
		for _, a := range expanded {
			if local || !a.Addr().IsLoopback() {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs
}
