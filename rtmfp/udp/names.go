package udp

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Names maps the addresses this machine binds to those it has outside a 1:1 NAT, and back. The zero
// value maps each to itself. It is immutable and may be shared.
type Names struct {
	outside, bind mapping
}

// mapping looks for the address with its port, then for the address alone, which keeps the port.
type mapping struct {
	ports map[netip.AddrPort]netip.AddrPort
	addrs map[netip.Addr]netip.Addr
}

// NewNames reads pairs of bind and outside address, "10.0.0.5" to "198.51.100.7" for every port, or
// "10.0.0.5:1935" to "198.51.100.7:11935" for one; if the outside has no port it is the same. Both must
// be of one family, and no outside may be named twice: the mapping is 1:1.
func NewNames(pairs map[string]string) (Names, error) {
	n := Names{outside: newMapping(), bind: newMapping()}
	for _, bind := range slices.Sorted(maps.Keys(pairs)) {
		if err := n.add(bind, pairs[bind]); err != nil {
			return Names{}, fmt.Errorf("public address %s for %s: %w", pairs[bind], bind, err)
		}
	}
	return n, nil
}

// Outside returns the address that bind has outside; bind itself if it has no other.
func (n Names) Outside(bind netip.AddrPort) netip.AddrPort { return n.outside.of(bind) }

// Bind returns the address behind outside; outside itself if it is no name of ours.
func (n Names) Bind(outside netip.AddrPort) netip.AddrPort { return n.bind.of(outside) }

func (n Names) add(bind, outside string) error {
	from, fromPort, err := parseName(bind)
	if err != nil {
		return err
	}
	to, toPort, err := parseName(outside)
	if err != nil {
		return err
	}
	if from.Is4() != to.Is4() {
		return errors.New("one is IPv4 and the other IPv6")
	}
	if fromPort == 0 && toPort != 0 {
		return errors.New("the bind address needs a port when the outside has one")
	}
	if toPort == 0 {
		toPort = fromPort
	}
	if err := n.outside.add(from, fromPort, to, toPort); err != nil {
		return err
	}
	return n.bind.add(to, toPort, from, fromPort)
}

// parseName reads an address, or an address and port; port 0 stands for every port.
func parseName(s string) (netip.Addr, uint16, error) {
	name, err := netip.ParseAddrPort(s)
	if err == nil && name.Port() == 0 {
		return netip.Addr{}, 0, fmt.Errorf("%s names port 0", s)
	}
	if err != nil {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Addr{}, 0, fmt.Errorf("%q is neither an address nor address:port", s)
		}
		name = netip.AddrPortFrom(addr, 0)
	}
	name = unmap(name)
	if a := name.Addr(); a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return netip.Addr{}, 0, fmt.Errorf("%s is not one address of one host", a)
	}
	return name.Addr(), name.Port(), nil
}

func newMapping() mapping {
	return mapping{ports: map[netip.AddrPort]netip.AddrPort{}, addrs: map[netip.Addr]netip.Addr{}}
}

func (m mapping) add(from netip.Addr, fromPort uint16, to netip.Addr, toPort uint16) error {
	if fromPort == 0 {
		if _, ok := m.addrs[from]; ok {
			return fmt.Errorf("%s is mapped twice", from)
		}
		m.addrs[from] = to
		return nil
	}
	key := netip.AddrPortFrom(from, fromPort)
	if _, ok := m.ports[key]; ok {
		return fmt.Errorf("%s is mapped twice", key)
	}
	m.ports[key] = netip.AddrPortFrom(to, toPort)
	return nil
}

func (m mapping) of(a netip.AddrPort) netip.AddrPort {
	if to, ok := m.ports[a]; ok {
		return to
	}
	if to, ok := m.addrs[a.Addr()]; ok {
		return netip.AddrPortFrom(to, a.Port())
	}
	return a
}
