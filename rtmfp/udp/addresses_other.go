//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

func systemAddresses() ([]Address, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var list []Address
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went while we looked
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			addr, _ := netip.AddrFromSlice(n.IP)
			addr = addr.Unmap()
			ones, size := n.Mask.Size()
			if ones -= size - addr.BitLen(); ones < 0 {
				ones = addr.BitLen()
			}
			list = append(list, Address{
				Addr: addr, Link: netip.PrefixFrom(addr, ones).Masked(), Interface: i.Name, Up: i.Flags&net.FlagUp != 0,
			})
		}
	}
	return list, nil
}
