package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"pileus/natprobe/gateway"
	"pileus/natprobe/report"
)

// tunnelNames begin the names that VPNs give to interfaces which do not say by
// themselves that they lead to one far end.
var tunnelNames = []string{"tun", "tap", "wg", "utun", "ppp", "tailscale", "zt", "ipsec", "gpd", "nordlynx", "proton"}

// thisHost lists the interfaces that are up, but loopback.
func thisHost() report.Host {
	var host report.Host
	interfaces, err := net.Interfaces()
	if err != nil {
		return host // where the system does not tell, nothing is known
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		one := report.Interface{Name: i.Name, MTU: i.MTU, Tunnel: i.Flags&net.FlagPointToPoint != 0}
		for _, prefix := range tunnelNames {
			one.Tunnel = one.Tunnel || strings.HasPrefix(strings.ToLower(i.Name), prefix)
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
				one.Addrs = append(one.Addrs, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
			}
		}
		if len(one.Addrs) > 0 {
			host.Interfaces = append(host.Interfaces, one)
		}
	}
	return host
}

// wayOf is how packets leave; nil where the system does not tell.
func wayOf(host report.Host, w gateway.Way) *report.Way {
	if w.Interface == "" {
		return nil
	}
	way := report.Way{Interface: w.Interface, Router: w.Router}
	for _, i := range host.Interfaces {
		way.Tunnel = way.Tunnel || i.Name == w.Interface && i.Tunnel
	}
	return &way
}

// boundTo finds the address that --bind names: one, or that of an interface.
func boundTo(name string, host report.Host, is4 bool) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Unmap(), nil
	}
	known := make([]string, 0, len(host.Interfaces))
	for _, i := range host.Interfaces {
		known = append(known, i.Name)
		if i.Name != name {
			continue
		}
		for _, p := range i.Addrs {
			if p.Addr().Is4() == is4 {
				return p.Addr(), nil
			}
		}
		return netip.Addr{}, failed(fmt.Errorf("interface %s has no address of the server's family", name))
	}
	if _, err := net.InterfaceByName(name); err == nil {
		return netip.Addr{}, failed(fmt.Errorf("interface %s is down, or has no address", name))
	}
	return netip.Addr{}, usage("--bind: %q is neither an address nor an interface; there are %s", name, strings.Join(known, ", "))
}

// listenOn opens sockets on one address.
func listenOn(ctx context.Context, addr netip.Addr) func(uint16) (net.PacketConn, error) {
	return func(port uint16) (net.PacketConn, error) {
		var lc net.ListenConfig
		return lc.ListenPacket(ctx, "udp", netip.AddrPortFrom(addr, port).String())
	}
}
