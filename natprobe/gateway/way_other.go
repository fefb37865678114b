//go:build !linux

package gateway

import (
	"errors"
	"net"
	"net/netip"

	defaultroute "github.com/jackpal/gateway"
)

var errNoRoute = errors.New("no route")

// nextHop is the default router, if it is on the interface that packets from an address
// leave by: elsewhere than on Linux nothing better is known without more privileges.
func nextHop(from, _ netip.Addr) (router netip.Addr, device int, err error) {
	own, err := interfaceOf(from)
	if err != nil {
		return router, 0, err
	}
	ip, err := defaultroute.DiscoverGateway()
	if err != nil {
		return router, own.Index, nil //nolint:nilerr // there is none
	}
	found, _ := netip.AddrFromSlice(ip)
	found = found.Unmap()
	addrs, err := own.Addrs()
	if err != nil || !found.IsValid() || found.IsUnspecified() {
		return router, own.Index, err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Contains(found) {
			return found, own.Index, nil
		}
	}
	return router, own.Index, nil
}

// interfaceOf is the one that has an address.
func interfaceOf(addr netip.Addr) (*net.Interface, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == addr {
				return &i, nil
			}
		}
	}
	return nil, errNoRoute
}
