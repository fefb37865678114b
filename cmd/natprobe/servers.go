package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// defaultPorts are tried where --server names none: RFC 5780's, and a node's main
// port.
var defaultPorts = []uint16{3478, nodePort}

const (
	// maxServers bounds a run to a minute.
	maxServers = 8
	// maxAddrs of a name are asked: they are asked one after the other, a quarter of a
	// second apart, until one answers.
	maxAddrs = 6
)

var errNoServer = errors.New(`no server: natprobe asks one that you name. On a host that everybody reaches, best
with two public addresses (with one, half stays unknown), start either of
    pileus serve
    natprobe serve
and then here: natprobe run --server HOST`)

// lookup finds a host's addresses, as net.Resolver.LookupNetIP does.
type lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// server is one to ask, wherever it answers first.
type server struct {
	host  string           // as named, without the port
	addrs []netip.AddrPort // the best first
	notes []string         // on how it was named
}

func resolveAll(ctx context.Context, find lookup, names []string, v6 bool) ([]server, error) {
	if len(names) == 0 {
		return nil, failed(errNoServer)
	}
	if len(names) > maxServers {
		return nil, usage("--server: %d servers, at most %d are asked", len(names), maxServers)
	}
	all := make([]server, 0, len(names))
	for _, name := range names {
		s, err := resolve(ctx, find, "--server", name, v6)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// resolve finds the addresses of a server that a flag names, of one family.
func resolve(ctx context.Context, find lookup, flag, typed string, v6 bool) (server, error) {
	t, err := readTarget(flag, typed)
	if err != nil {
		return server{}, err
	}
	addrs, err := addressesOf(ctx, find, flag, t.host, v6)
	if err != nil {
		return server{}, err
	}
	s := server{host: t.host, notes: t.notes}
	for _, port := range t.portsOr(defaultPorts...) {
		for _, a := range addrs {
			s.addrs = append(s.addrs, netip.AddrPortFrom(a, port))
		}
	}
	return s, nil
}

// resolveNode finds where a node that a flag names may speak RTMFP.
func resolveNode(ctx context.Context, find lookup, flag, typed string, v6 bool) ([]netip.AddrPort, error) {
	t, err := readTarget(flag, typed)
	switch {
	case err != nil:
		return nil, err
	case t.stun:
		return nil, usage("%s: %q is where STUN or TURN is spoken; a node is named HOST[:PORT] or rtmfp://HOST[:PORT]", flag, t.shown)
	}
	addrs, err := addressesOf(ctx, find, flag, t.host, v6)
	if err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	for _, a := range addrs {
		all = append(all, netip.AddrPortFrom(a, t.portsOr(nodePort)[0]))
	}
	return all, nil
}

// addressesOf finds those of one family. An address that is named is taken as it is.
func addressesOf(ctx context.Context, find lookup, flag, host string, v6 bool) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		switch {
		case addr.IsUnspecified() || addr.IsMulticast() || addr == broadcast:
			return nil, usage("%s: %v is no server's address", flag, addr)
		case v6 && addr.Is4():
			return nil, usage("%s: %v is an IPv4 address, and -6 asks over IPv6", flag, addr)
		}
		return []netip.Addr{addr}, nil
	}
	// Of both families: that there is only the other one is worth saying.
	found, err := find(ctx, "ip", host)
	if err != nil {
		return nil, failed(fmt.Errorf("%s is not found: %w", host, err))
	}
	var wanted []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); a.Is6() == v6 && len(wanted) < maxAddrs && !slices.Contains(wanted, a) {
			wanted = append(wanted, a)
		}
	}
	switch {
	case len(wanted) > 0:
		return wanted, nil
	case v6:
		return nil, failed(fmt.Errorf("%s has no IPv6 address; without -6 it is asked over IPv4", host))
	}
	return nil, failed(fmt.Errorf("%s has IPv6 addresses alone: add -6 to ask over IPv6", host))
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
