package netconn

import (
	"net/netip"
	"strings"

	"pileus/rtmfp/amf"
)

// peerAddresses reads the addresses of a setPeerInfo (RFC 7425 5.3.3). What is
// not a usable address is skipped, whether it is another value or a name. The
// command object may be left out, and then is the first address. An address
// without a port, as some mobile clients send, gets the port the client was
// observed at.
func peerAddresses(c Command, observed uint16) []netip.AddrPort {
	var addrs []netip.AddrPort
	take := func(v amf.Value) {
		s, ok := v.(amf.String)
		if !ok || len(addrs) >= maxPeerAddresses {
			return
		}
		if a, ok := parseAddress(string(s), observed); ok {
			addrs = append(addrs, a)
		}
	}
	take(c.Object)
	for _, v := range c.Args[:min(len(c.Args), maxPeerArguments)] {
		take(v)
	}
	return addrs
}

func parseAddress(s string, observed uint16) (netip.AddrPort, bool) {
	// "[2001:db8:1::2]:50002" is the longest form.
	if len(s) > 64 {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		// Brackets are for IPv6 with a port; some write them around IPv4 too.
		host, port, found := strings.Cut(s, "]:")
		if found {
			a, err = netip.ParseAddrPort(strings.TrimPrefix(host, "[") + ":" + port)
		} else {
			var ip netip.Addr
			ip, err = netip.ParseAddr(strings.Trim(s, "[]"))
			a = netip.AddrPortFrom(ip, observed)
		}
	}
	if err != nil {
		return netip.AddrPort{}, false
	}
	ip := a.Addr().Unmap()
	if a.Port() == 0 || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() ||
		ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, a.Port()), true
}

// peerInfo is the command that tells addrs to a server.
func peerInfo(addrs []netip.AddrPort) Command {
	args := make(amf.Args, len(addrs))
	for i, a := range addrs {
		args[i] = amf.String(netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()).String())
	}
	return Command{Name: "setPeerInfo", Args: args}
}
