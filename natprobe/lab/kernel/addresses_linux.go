package kernel

import "net/netip"

// node6 are the node's addresses in IPv6.
var node6 = [2]netip.Addr{netip.MustParseAddr("2001:db8:ffff::1"), netip.MustParseAddr("2001:db8:ffff::2")}

// The addresses of site number i, from 1.

// publicAddr is that of its outermost NAT, or of its only host.
func publicAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}) }

// firewalledAddr is that of a host behind a firewall that does not translate.
func firewalledAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}) }

// lanAddr is one in a LAN; the router is host 1.
func lanAddr(i, segment, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i), byte(segment), byte(host)})
}

// carrierAddr is one between a carrier's NAT and a home router.
func carrierAddr(i, segment, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{100, 64, byte(i), byte(segment*64 + host)})
}

const (
	lanBits     = 24
	carrierBits = 26
	lan6Bits    = 64
)

func lanAddr6(i, host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 5: byte(i), 15: byte(host)})
}
