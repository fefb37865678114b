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
	host  string // as named, without the port
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
		s, err := resolve(ctx, "--server", name, v6)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// resolve finds the addresses of a server that a flag names, of one family.
func resolve(ctx context.Context, flag, name string, v6 bool) (server, error) {
	host, ports := name, defaultPorts
	if h, p, err := net.SplitHostPort(name); err == nil {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil || port == 0 {
			return server{}, usage("%s: %q is no port", flag, p)
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
			return server{}, failed(fmt.Errorf("%s is not found: %w", host, err))
		}
		addr = addrs[0]
	}
	found := server{host: host}
	for _, p := range ports {
		found.addrs = append(found.addrs, netip.AddrPortFrom(addr.Unmap(), p))
	}
	return found, nil
}
