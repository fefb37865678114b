package peer

import (
	"net/netip"
	"slices"

	"pileus/rtmfp"
	"pileus/rtmfp/udp"
)

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
	return udp.OwnAddrs(sockets, local)
}
