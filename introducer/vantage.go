package introducer

import (
	"net/netip"
	"slices"

	"pileus/rtmfp/udp"
)

// vantage picks those sockets of list from which a client can be probed whose
// session is at local, and gives their outside names: those on local's own
// address, and those on an alternate. An alternate's clients are probed from the
// other addresses too.
func (n *Node) vantage(local netip.AddrPort, list []netip.AddrPort) []netip.AddrPort {
	own := local.Addr()
	anywhere := slices.Contains(n.cfg.Alternates, own)
	at := n.cfg.Names.Outside(local).Addr()
	picked := make([]netip.AddrPort, 0, len(list))
	for _, a := range list {
		if a.Addr() != own && !anywhere && !slices.Contains(n.cfg.Alternates, a.Addr()) {
			continue
		}
		outside := n.cfg.Names.Outside(a)
		if outside.Addr().Is4() == at.Is4() && udp.SameReach(outside.Addr(), at) {
			picked = append(picked, outside)
		}
	}
	return picked
}
