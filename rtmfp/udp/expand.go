package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ParseListen reads "host:port" with a literal address, or ":port", which is every address of both
// families: its Addr is then the zero Addr, as Expand takes it.
func ParseListen(s string) (netip.AddrPort, error) {
	if strings.HasPrefix(s, ":") {
		s = "[::]" + s
		a, err := netip.ParseAddrPort(s)
		return netip.AddrPortFrom(netip.Addr{}, a.Port()), err
	}
	a, err := netip.ParseAddrPort(s)
	return unmap(a), err
}

// ErrNoAddress is the error of Expand for a wildcard of a family in which this machine has no address,
// which is no fault of the machine: IPv6 may be off.
var ErrNoAddress = errors.New("no address of this machine is")

// Expand turns a wildcard into the addresses of this machine's interfaces that are up, with a's port:
// 0.0.0.0 into the IPv4 ones, :: into the IPv6 ones, the zero Addr into both, in the order of Addresses.
// Link-local IPv6 is left out, and what is tentative; loopback is not. Any other address is returned as it is.
func Expand(a netip.AddrPort) ([]netip.AddrPort, error) {
	a = unmap(a)
	if a.Addr().IsValid() && !a.Addr().IsUnspecified() {
		return []netip.AddrPort{a}, nil
	}
	list, err := Addresses()
	if err != nil {
		return nil, err
	}
	addrs := usable(list, a.Addr())
	if len(addrs) == 0 {
		return nil, fmt.Errorf("udp: %w %s", ErrNoAddress, family(a.Addr()))
	}
	expanded := make([]netip.AddrPort, len(addrs))
	for i, addr := range addrs {
		expanded[i] = netip.AddrPortFrom(addr, a.Port())
	}
	return expanded, nil
}

func family(wildcard netip.Addr) string {
	switch {
	case !wildcard.IsValid():
		return "on an interface that is up"
	case wildcard.Is4():
		return "IPv4"
	}
	return "IPv6"
}

// usable picks the serveable addresses of wildcard's family.
func usable(list []Address, wildcard netip.Addr) []netip.Addr {
	var picked []netip.Addr
	for _, a := range Serveable(list) {
		if !a.Tentative && (!wildcard.IsValid() || a.Addr.Is4() == wildcard.Is4()) {
			picked = append(picked, a.Addr)
		}
	}
	return picked
}

// SameReach reports whether two addresses, of any family, are both public, private, link-local or
// loopback: whoever reaches one may reach the other.
func SameReach(a, b netip.Addr) bool { return reach(a.Unmap()) == reach(b.Unmap()) }

// SharedSpace is what carriers number their customers from, and overlay networks their hosts (RFC 6598).
var SharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// IsPrivate reports whether an address means nothing outside its network: private (RFC 1918, RFC 4193)
// or of SharedSpace.
func IsPrivate(a netip.Addr) bool { return a.IsPrivate() || SharedSpace.Contains(a) }

func reach(a netip.Addr) int {
	switch {
	case a.IsLoopback():
		return 3
	case a.IsLinkLocalUnicast():
		return 2
	case IsPrivate(a):
		return 1
	}
	return 0
}

// Prefix is the network that one customer usually holds whole: /24 for IPv4, /56 for IPv6. Limits per
// source count by it. An invalid address gives the zero Prefix.
func Prefix(a netip.Addr) netip.Prefix { return prefix(a, 24, 56) }

// WidePrefix is the network that one provider's customers, or one customer with many
// networks, share: /16 for IPv4, /32 for IPv6.
func WidePrefix(a netip.Addr) netip.Prefix { return prefix(a, 16, 32) }

func prefix(a netip.Addr, bits4, bits6 int) netip.Prefix {
	a = a.Unmap()
	bits := bits4
	if a.Is6() {
		bits = bits6
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
