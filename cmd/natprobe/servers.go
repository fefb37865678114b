package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"pileus/natprobe/prober"
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
	nat64 netip.Prefix     // by which they, of IPv4, are reached over IPv6; zero: they are reached as they are
	notes []string         // on how it was named
}

// resolver finds the addresses of servers.
type resolver struct {
	find  lookup
	v6    bool         // ask over IPv6
	nat64 netip.Prefix // of this network; zero: none, or it was not looked for
}

func (f resolver) all(ctx context.Context, names []string) ([]server, error) {
	if len(names) == 0 {
		return nil, failed(errNoServer)
	}
	if len(names) > maxServers {
		return nil, usage("--server: %d servers, at most %d are asked", len(names), maxServers)
	}
	all := make([]server, 0, len(names))
	for _, name := range names {
		s, err := f.resolve(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// resolve finds the addresses of a server that --server names, of one family.
func (f resolver) resolve(ctx context.Context, typed string) (server, error) {
	const flag = "--server"
	t, err := readTarget(flag, typed)
	if err != nil {
		return server{}, err
	}
	addrs, err := f.addresses(ctx, flag, t.host)
	if err != nil {
		return server{}, err
	}
	s := server{host: t.host, notes: t.notes}
	if f.v6 && addrs[0].Is4() {
		s.nat64 = f.nat64
	}
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
	addrs, err := resolver{find: find, v6: v6}.addresses(ctx, flag, t.host)
	if err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	for _, a := range addrs {
		all = append(all, netip.AddrPortFrom(a, t.portsOr(nodePort)[0]))
	}
	return all, nil
}

// addresses finds those of one family. An address that is named is taken as it is. What
// is reached through a NAT64 is of IPv4.
func (f resolver) addresses(ctx context.Context, flag, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = f.meant(addr)
		switch {
		case addr.IsUnspecified() || addr.IsMulticast() || addr == broadcast:
			return nil, usage("%s: %v is no server's address", flag, addr)
		case f.v6 && addr.Is4() && !f.nat64.IsValid():
			return nil, usage("%s: %v is an IPv4 address, -6 asks over IPv6, and no NAT64 is found here", flag, addr)
		}
		return []netip.Addr{addr}, nil
	}
	// Of both families: that there is only the other one is worth saying.
	found, err := f.find(ctx, "ip", host)
	if err != nil {
		return nil, failed(fmt.Errorf("%s is not found: %w", host, err))
	}
	var four, six, behind []netip.Addr
	for _, a := range found {
		switch meant := f.meant(a); {
		case a.Unmap().Is4():
			four = add(four, meant)
		case meant.Is4():
			behind = add(behind, meant)
		default:
			six = add(six, meant)
		}
	}
	switch {
	case !f.v6 && len(four) > 0:
		return four, nil
	case f.v6 && len(six) > 0:
		return six, nil
	case f.v6 && len(behind) > 0:
		return behind, nil
	case f.v6 && f.nat64.IsValid():
		return four, nil
	case f.v6:
		return nil, failed(fmt.Errorf("%s has no IPv6 address, and no NAT64 is found here; without -6 it is asked over IPv4", host))
	}
	return nil, failed(fmt.Errorf("%s has IPv6 addresses alone: add -6 to ask over IPv6", host))
}

// meant is the address that one stands for.
func (f resolver) meant(a netip.Addr) netip.Addr {
	return prober.Extract(f.nat64, netip.AddrPortFrom(a.Unmap(), 1)).Addr()
}

// add appends an address, once, as long as there is room.
func add(all []netip.Addr, a netip.Addr) []netip.Addr {
	if len(all) < maxAddrs && !slices.Contains(all, a) {
		all = append(all, a)
	}
	return all
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
