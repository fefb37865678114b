package introducer

import (
	"net/netip"
	"slices"

	"pileus/rtmfp/udp"
)

// A node behind a 1:1 NAT, or a router that forwards its ports, has clients on both
// sides: those outside know it by its outside names, those in its own network by the
// addresses that it is bound to. Routers seldom turn packets around, so a name of the
// other side is of no use to either.

// inside reports whether p is in the node's own network: nothing translates between the
// two, for p is seen at an address that it has itself, and one that means something only
// in a network such as the one where the node has its bound address.
func (n *Node) inside(p *Peer) bool {
	local, at := p.session.Local(), p.Addr().Addr()
	outside := n.cfg.Names.Outside(local)
	if outside == local || !udp.IsPrivate(at) || !udp.SameReach(at, local.Addr()) || udp.SameReach(at, outside.Addr()) {
		return false
	}
	return slices.ContainsFunc(p.reported, func(a netip.AddrPort) bool { return a.Addr() == at })
}

// namesFor are the names that the node's addresses have for p; nil is somebody outside.
func (n *Node) namesFor(p *Peer) udp.Names {
	if p != nil && n.inside(p) {
		return udp.Names{}
	}
	return n.cfg.Names
}

// apart reports whether a peer at an address means nothing to others where the node saw
// it: it is private, and the other is not. What its packets meet on their way to the
// other, the node does not know.
func apart(at, other netip.Addr) bool { return udp.IsPrivate(at) && !udp.SameReach(at, other) }
