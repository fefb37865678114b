package introducer

import (
	"net/netip"

	"pileus/rtmfp/udp"
)

// vantage picks those sockets of list from which a client can be probed, and gives
// the names that it knows them by: those on the address at which it has its session,
// and those on an alternate. An alternate's clients are probed from the
// other addresses too.
func (n *Node) vantage(p *Peer, list []netip.AddrPort) []netip.AddrPort {
	local, names := p.session.Local(), n.namesFor(p)
	own := local.Addr()
	anywhere := n.alternate(own)
	at := names.Outside(local).Addr()
	picked := make([]netip.AddrPort, 0, len(list))
	for _, a := range list {
		if a.Addr() != own && !anywhere && !n.alternate(a.Addr()) {
			continue
		}
		outside := names.Outside(a)
		if outside.Addr().Is4() == at.Is4() && udp.SameReach(outside.Addr(), at) {
			picked = append(picked, outside)
		}
	}
	return picked
}
