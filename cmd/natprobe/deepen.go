package main

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/gateway"
	"pileus/natprobe/prober"
	"pileus/natprobe/relayed"
	"pileus/natprobe/report"
	"pileus/rtmfp/udp"
)

// deepen measures the rest, with the first server that answered or, where none did,
// what else there is. What takes no server goes on beside it.
func (m *measurement) deepen(ctx context.Context, found []located) {
	known := report.New(m.record, time.Now(), nil)
	if !known.Server.IsValid() {
		return
	}
	at := m.serverAt(known.Server)
	wire := m.wire(at, known.Server)
	translated := wire != known.Server
	local := known.Local.Addr()
	if !local.IsValid() {
		local, _ = prober.Route(ctx, wire) // zero: no route, which the services say too
	}
	m.progress.set("what else the way does to packets")
	var rest struct {
		gateways []report.Gateway
		services []report.Service
		ipv6     *report.IPv6
		node     report.Node
		path     *report.Path
	}
	var work sync.WaitGroup
	if !known.Server.Addr().IsLoopback() { // else no router is on the way
		way := gateway.WayTo(local, wire.Addr())
		m.record.Way = wayOf(m.record.Host, way)
		if wire.Addr().Is4() { // routers of IPv6 translate nothing
			work.Go(func() { rest.gateways = gateway.Ask(ctx, way) })
			if known.Seen.IsValid() && known.Seen.Addr() != local {
				hops := prober.HopsConfig{Local: local, Server: known.Server, Seen: known.Seen}
				work.Go(func() { rest.path = prober.Hops(ctx, hops) })
			}
		}
		work.Go(func() {
			six := prober.Six(ctx, m.six(ctx, known.Server))
			rest.ipv6 = &six
		})
	}
	work.Go(func() { rest.services = prober.Fallbacks(ctx, wire, local) })
	work.Go(func() { rest.node = m.askNodes(ctx, wire, found, local) })
	relays := make([]report.Service, len(m.turns))
	for i, t := range m.turns {
		work.Go(func() { relays[i] = relayed.Try(ctx, t) })
	}
	depth := m.measure(ctx, known, found, translated)
	work.Wait()
	depth.Gateways, depth.Services, depth.IPv6, depth.Path = rest.gateways, append(rest.services, relays...), rest.ipv6, rest.path
	if rest.node.Works == natprobe.Yes {
		depth.Node = &rest.node
	}
	m.record.Depth = depth
}

// serverAt is the index of the server that was found at an address, 0 for none.
func (m *measurement) serverAt(at netip.AddrPort) int {
	return max(0, slices.IndexFunc(m.record.Runs, func(r report.Run) bool { return r.Server == at }))
}

// askNodes looks for a node at each server's address, and returns what the first one
// tells.
func (m *measurement) askNodes(ctx context.Context, first netip.AddrPort, found []located, local netip.Addr) report.Node {
	addrs := []netip.Addr{first.Addr()}
	for i, f := range found {
		if a := m.wire(i, f.Run.Server).Addr(); f.answers && a.Is4() == addrs[0].Is4() && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	nodes := make([]report.Node, len(addrs))
	var work sync.WaitGroup
	for i, a := range addrs {
		work.Go(func() { nodes[i] = prober.Node(ctx, netip.AddrPortFrom(a, prober.NodePort), local) })
	}
	work.Wait()
	i := slices.IndexFunc(nodes, func(n report.Node) bool { return n.Works == natprobe.Yes })
	return nodes[max(0, i)]
}

// measure asks the server.
func (m *measurement) measure(ctx context.Context, known report.Report, found []located, translated bool) report.Depth {
	i := slices.IndexFunc(m.record.Runs, func(r report.Run) bool { return r.Server == known.Server })
	if !known.Seen.IsValid() || i < 0 {
		return report.Depth{}
	}
	local := known.Local.Addr()
	config := m.config(ctx, found, i)
	config.Server = known.Server
	c := prober.DepthConfig{
		Config: config, Run: m.record.Runs[i], Behavior: known.Behavior,
		MTU: m.record.Host.MTUOf(local), Lifetime: m.c.Duration("lifetime"),
		Translated: translated,
		OpenTOS:    func() (*udp.Conn, error) { return udp.Listen(netip.AddrPortFrom(local, 0), udp.Options{}) },
	}
	if m.c.Bool("quick") {
		c.Lifetime = 0
	}
	depth, notes := prober.Measure(ctx, c)
	m.record.Notes = append(m.record.Notes, notes...)
	return depth
}

// six finds the IPv6 address of a server that was named, if one has any. Its
// packets are in no trace: they go on beside the others.
func (m *measurement) six(ctx context.Context, asked netip.AddrPort) prober.SixConfig {
	c := prober.SixConfig{Host: m.record.Host, Lookup: lookup6}
	add := func(a netip.AddrPort) {
		if !slices.Contains(c.Servers, a) {
			c.Servers = append(c.Servers, a)
		}
	}
	for _, s := range m.servers {
		for _, a := range s.addrs {
			if a.Addr().Is6() {
				add(a)
			}
		}
		if asked.Addr().Is6() || len(c.Servers) > 0 {
			continue
		}
		addrs, err := c.Lookup(ctx, s.host)
		if err != nil {
			continue // it has none
		}
		for _, a := range addrs[:min(len(addrs), maxAddrs)] {
			add(netip.AddrPortFrom(a, asked.Port()))
		}
	}
	return c
}
