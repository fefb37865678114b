package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// defaultPorts are tried in turn where --server names none: RFC 5780's, and a
// node's main port.
var defaultPorts = []uint16{3478, 1935}

// maxServers bounds a run to a minute.
const maxServers = 8

var errNoServer = errors.New(`no server: natprobe asks one that you name. On a host that everybody reaches, best
with two public addresses (with one, half stays unknown), start either of
    pileus serve
    natprobe serve
and then here: natprobe run --server HOST`)

// server is one to ask: its addresses are tried in turn until one answers.
type server struct {
	name  string
	addrs []netip.AddrPort
}

func resolveAll(ctx context.Context, names []string, v6 bool) ([]server, error) {
	if len(names) == 0 {
		return nil, failed(errNoServer)
	}
	if len(names) > maxServers {
		return nil, usage("--server: %d servers, at most %d are asked", len(names), maxServers)
	}
	all := make([]server, 0, len(names))
	for _, name := range names {
		addrs, err := resolve(ctx, name, v6)
		if err != nil {
			return nil, err
		}
		all = append(all, server{name, addrs})
	}
	return all, nil
}

// resolve returns the addresses to ask, one after the other until one answers.
func resolve(ctx context.Context, server string, v6 bool) ([]netip.AddrPort, error) {
	host, ports := server, defaultPorts
	if h, p, err := net.SplitHostPort(server); err == nil {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil || port == 0 {
			return nil, usage("--server: %q is no port", p)
		}
		host, ports = h, []uint16{uint16(port)}
	}
	network := "ip4"
	if v6 {
		network = "ip6"
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
		if err != nil {
			return nil, failed(fmt.Errorf("%s is not found: %w", host, err))
		}
		addr = addrs[0]
	}
	servers := make([]netip.AddrPort, 0, len(ports))
	for _, p := range ports {
		servers = append(servers, netip.AddrPortFrom(addr.Unmap(), p))
	}
	return servers, nil
}
