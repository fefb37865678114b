package gateway

import (
	"net"
	"net/netip"
	"slices"
)

// Way is how packets leave this host for somebody. A default route alone does not tell:
// VPNs set routes beside it, or rules, and it may lead to a link without any router.
type Way struct {
	Router    netip.Addr // the next hop; zero: none, or not known
	Interface string     // "" if it is not known
}

// WayTo finds the way from an address of this host, zero for any, to another. It asks
// nobody but the system.
func WayTo(from, to netip.Addr) Way {
	router, device, err := nextHop(from.Unmap(), to.Unmap())
	if err != nil {
		return Way{}
	}
	w := Way{Router: router}
	if i, err := net.InterfaceByIndex(device); err == nil {
		w.Interface = i.Name
	}
	if router.Is6() && router.IsLinkLocalUnicast() {
		w.Router = router.WithZone(w.Interface)
	}
	return w
}

// on keeps the addresses of hosts that are on the way: routers elsewhere are none of it.
func (w Way) on(hosts []netip.Addr) []netip.Addr {
	if w.Interface == "" {
		return hosts
	}
	var addrs []net.Addr
	if i, err := net.InterfaceByName(w.Interface); err == nil {
		addrs, _ = i.Addrs() // none: it is gone
	}
	return slices.DeleteFunc(hosts, func(h netip.Addr) bool {
		return !slices.ContainsFunc(addrs, func(a net.Addr) bool {
			p, err := netip.ParsePrefix(a.String())
			return err == nil && p.Addr().Unmap() == h
		})
	})
}
