package memory

import (
	"net/netip"

	"pileus/natprobe/lab"
)

// Link is a network segment: hosts and NATs that reach each other by their
// addresses on it. What is for nobody on it goes to its gateway.
type Link struct {
	gateway *gate // nil: the backbone
	nats    map[netip.Addr]*gate
	sockets map[netip.AddrPort]*host
	addrs   map[netip.Addr]int // how many sockets each has
}

// station is a host, or a NAT's outside; or neither, where an address has no such
// socket.
type station struct {
	host *host
	nat  *gate
}

// gate is a NAT or a firewall between links.
type gate struct {
	*lab.NAT
	outside *Link
	within  []*Link
}

func newLink(g *gate) *Link {
	return &Link{
		gateway: g, nats: make(map[netip.Addr]*gate),
		sockets: make(map[netip.AddrPort]*host), addrs: make(map[netip.Addr]int),
	}
}

// find is what has an address on the link.
func (l *Link) find(a netip.AddrPort) (s station, found bool) {
	if g := l.nats[a.Addr()]; g != nil {
		return station{nat: g}, true
	}
	return station{host: l.sockets[a]}, l.addrs[a.Addr()] > 0
}

// Behind makes a link behind a NAT or firewall that stands on this one, where it
// has its public addresses.
func (l *Link) Behind(b lab.Behavior) *Link {
	g := &gate{NAT: lab.NewNAT(b), outside: l}
	for _, a := range b.Public {
		l.nats[a] = g
	}
	return g.link()
}

// Beside makes another link behind the same NAT, which does not carry packets
// between the two.
func (l *Link) Beside() *Link { return l.gateway.link() }

func (g *gate) link() *Link {
	l := newLink(g)
	g.within = append(g.within, l)
	return l
}

// add puts a host's socket on a link. Firewalls do not hide it: its address is
// theirs on the links outside.
func (l *Link) add(a netip.AddrPort, h *host) {
	l.sockets[a] = h
	l.addrs[a.Addr()]++
	for g := l.gateway; g != nil && g.Behavior().Mapping == lab.NoTranslation; g = g.outside.gateway {
		g.outside.nats[a.Addr()] = g
	}
}

func (l *Link) remove(a netip.AddrPort) {
	delete(l.sockets, a)
	l.addrs[a.Addr()]--
}

// forward takes a packet from a link outwards, to where its destination is.
func (n *Network) forward(l *Link, p lab.Packet, load payload) {
	for {
		if to, ok := l.find(p.Dst); ok {
			n.launch(l, to, p, load)
			return
		}
		g := l.gateway
		if g == nil {
			return // nobody has the address
		}
		var fate lab.Fate
		switch p, fate = g.Outbound(n.now, p); fate {
		case lab.ToOutside:
			l = g.outside
		case lab.ToInside: // by hairpin
			n.inside(g, p, load)
			return
		default:
			return
		}
	}
}

// inside takes a packet that a NAT let in to where its destination is.
func (n *Network) inside(g *gate, p lab.Packet, load payload) {
	for _, l := range g.within {
		if to, ok := l.find(p.Dst); ok {
			n.launch(l, to, p, load)
			return
		}
	}
}
