package prober

import (
	"context"
	"net"
	"net/netip"
	"slices"
)

// The addresses that ipv4only.arpa has (RFC 7050 section 2.2): in IPv6 addresses of
// that name, they stand behind the prefix of a NAT64.
var wellKnown = []netip.Addr{netip.MustParseAddr("192.0.0.170"), netip.MustParseAddr("192.0.0.171")}

// prefixLengths are those of RFC 6052 section 2.2, the longest first.
var prefixLengths = []int{96, 64, 56, 48, 40, 32}

// lookup finds the IPv6 addresses of a name.
type lookup func(ctx context.Context, name string) ([]netip.Addr, error)

// NAT64 finds the prefix that this network has IPv6 addresses of IPv4 ones made with: by
// its DNS (RFC 7050) or, where that makes none, by what its routers advertise (RFC 8781),
// which takes privileges to ask. Zero if there is none.
func NAT64(ctx context.Context, find lookup) netip.Prefix {
	ctx, cancel := context.WithTimeout(ctx, lookupPatience)
	defer cancel()
	if addrs, err := find(ctx, "ipv4only.arpa"); err == nil {
		if p := nat64(addrs); p.IsValid() {
			return p
		}
	}
	return advertisedNAT64(ctx)
}

// nat64 finds the prefix, of the lengths and places that RFC 6052 section 2.2 has.
func nat64(addrs []netip.Addr) netip.Prefix {
	for _, a := range addrs {
		if !a.Is6() || a.Is4In6() {
			continue
		}
		for _, bits := range prefixLengths {
			if slices.Contains(wellKnown, embedded(a, bits)) {
				return netip.PrefixFrom(a, bits).Masked()
			}
		}
	}
	return netip.Prefix{}
}

// places are where the four bytes stand behind a prefix: bits 64 to 71 are zero.
func places(bits int) (at [4]int) {
	next := bits / 8
	for i := range at {
		if next == 8 {
			next++
		}
		at[i] = next
		next++
	}
	return at
}

// embedded is the IPv4 address in one of IPv6.
func embedded(a netip.Addr, bits int) netip.Addr {
	b := a.As16()
	var four [4]byte
	for i, at := range places(bits) {
		four[i] = b[at]
	}
	return netip.AddrFrom4(four)
}

// Synthesize is how an IPv4 address is reached through a NAT64; others as they are.
func Synthesize(p netip.Prefix, a netip.AddrPort) netip.AddrPort {
	if !p.IsValid() || !a.Addr().Is4() {
		return a
	}
	b, four := p.Addr().As16(), a.Addr().As4()
	for i, at := range places(p.Bits()) {
		b[at] = four[i]
	}
	return netip.AddrPortFrom(netip.AddrFrom16(b), a.Port())
}

// Extract is the IPv4 address that one behind a NAT64 stands for; others as they are.
func Extract(p netip.Prefix, a netip.AddrPort) netip.AddrPort {
	if !p.IsValid() || !p.Contains(a.Addr()) {
		return a
	}
	return netip.AddrPortFrom(embedded(a.Addr(), p.Bits()), a.Port())
}

// dummy is the IPv4 address of hosts that have none (RFC 7600 section 3).
var dummy = netip.MustParseAddr("192.0.0.8")

// Through has sockets of IPv6 speak to IPv4 addresses through a NAT64, as if this host
// had one.
func Through(p netip.Prefix, listenAt func(port uint16) (net.PacketConn, error)) func(port uint16) (net.PacketConn, error) {
	return func(port uint16) (net.PacketConn, error) {
		conn, err := listenAt(port)
		if err != nil {
			return nil, err
		}
		return &translated{conn, p}, nil
	}
}

// translated is a socket behind a NAT64.
type translated struct {
	net.PacketConn
	prefix netip.Prefix
}

func (t *translated) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := t.PacketConn.ReadFrom(b)
	if from == nil {
		return n, from, err
	}
	return n, net.UDPAddrFromAddrPort(Extract(t.prefix, addrPort(from))), err
}

func (t *translated) WriteTo(b []byte, to net.Addr) (int, error) {
	return t.PacketConn.WriteTo(b, net.UDPAddrFromAddrPort(Synthesize(t.prefix, addrPort(to))))
}

// LocalAddr is no address of this host's: it has none of that family. The port is.
func (t *translated) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(dummy, addrPort(t.PacketConn.LocalAddr()).Port()))
}
