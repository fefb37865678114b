package wire

import (
	"encoding/binary"
	"net/netip"
)

// Origin says how an address became known (section 2.1.5). Real endpoints do not
// set it reliably: compare addresses without it.
type Origin uint8

const (
	OriginUnknown  Origin = 0
	OriginReported Origin = 1 // an interface address, as its owner reported it
	OriginObserved Origin = 2 // a packet's source address, as its receiver saw it
	OriginRelay    Origin = 3 // a relay, proxy or introducer
)

// Address is an Internet socket address with its origin (section 2.1.5).
type Address struct {
	AddrPort netip.AddrPort
	Origin   Origin
}

const (
	addressInet6  = 0x80
	addressOrigin = 0x03

	addressLen4 = 1 + 4 + 2
	addressLen6 = 1 + 16 + 2

	// MaxAddressLen is the length of the longest encoded Address, in bytes.
	MaxAddressLen = addressLen6
)

// Append appends the address: 7 bytes for IPv4, 19 for IPv6, which IPv4-mapped
// addresses are. An invalid address goes out as [::]; a zone is left out.
func (a Address) Append(b []byte) []byte {
	ip := a.AddrPort.Addr()
	flags := byte(a.Origin) & addressOrigin
	if ip.Is4() {
		ip4 := ip.As4()
		b = append(append(b, flags), ip4[:]...)
	} else {
		ip6 := ip.As16()
		b = append(append(b, flags|addressInet6), ip6[:]...)
	}
	return binary.BigEndian.AppendUint16(b, a.AddrPort.Port())
}

// Len returns the number of bytes that Append appends.
func (a Address) Len() int {
	if a.AddrPort.Addr().Is4() {
		return addressLen4
	}
	return addressLen6
}

// ParseAddress reads an address from the start of b. An IPv4-mapped IPv6 address
// comes back as IPv4, so that one host compares equal to itself. The only error
// is ErrTruncated.
func ParseAddress(b []byte) (a Address, rest []byte, err error) {
	if len(b) == 0 {
		return Address{}, nil, ErrTruncated
	}
	n := addressLen4
	if b[0]&addressInet6 != 0 {
		n = addressLen6
	}
	if len(b) < n {
		return Address{}, nil, ErrTruncated
	}
	ip, _ := netip.AddrFromSlice(b[1 : n-2])
	port := binary.BigEndian.Uint16(b[n-2:])
	return Address{
		AddrPort: netip.AddrPortFrom(ip.Unmap(), port),
		Origin:   Origin(b[0] & addressOrigin),
	}, b[n:], nil
}

// ParseAddressText reads an address as clients write it in setPeerInfo:
// "192.0.2.1:1935" or "[2001:db8::1]:1935". Names, zones, spaces, signs and ports
// above 65535 are refused, and IPv6 stands in brackets or not at all.
//
// Some mobile AIR clients send an IPv4 address without a port; it comes back with
// port 0, which nobody can be reached at: the caller decides what it is worth.
// The only error is ErrAddressText.
func ParseAddressText(s string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Addr().Zone() == "" {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Is4() {
		return netip.AddrPortFrom(ip, 0), nil
	}
	return netip.AddrPort{}, ErrAddressText
}
