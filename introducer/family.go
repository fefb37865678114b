package introducer

import (
	"net/netip"
	"slices"

	"pileus/rtmfp/udp"
)

// familyFor is the node's address of the other family than that of p's session,
// at which p can prove an address that it reported; zero if either has none.
func (n *Node) familyFor(p *Peer) netip.AddrPort {
	local := p.session.Local()
	at := n.cfg.Names.Outside(local)
	other := func(a netip.AddrPort) bool {
		return a.Addr().Is4() != at.Addr().Is4() && udp.SameReach(a.Addr(), at.Addr())
	}
	if !slices.ContainsFunc(p.reported, other) {
		return netip.AddrPort{}
	}
	for _, r := range n.cfg.Routes {
		if outside := n.cfg.Names.Outside(r); r.Port() == local.Port() && other(outside) {
			return outside
		}
	}
	return netip.AddrPort{}
}

// prove takes an answer to the FIHello that named local, of another family than
// the session. Whoever can forge a source could have sent it: so the address is
// asked itself, and what answers from there has it.
func (r *probing) prove(id int, local, from netip.AddrPort) {
	p, e := r.peer, r.peer.session.Engine()
	if !slices.Contains(p.reported, from) {
		return // translated on its way: nothing that others could use
	}
	if r.challenge == nil {
		r.challenge = r.node.await(p, func(_, answerer netip.AddrPort) {
			if answerer == from {
				p.proven = from
				r.planner.Answered(id, from, e.Now())
				r.wake(e)
			}
		})
		if r.challenge == nil {
			return // too many at once: it stays unproven
		}
	}
	r.node.stats.Probes++
	e.SendHello(local, from, r.epd, r.challenge)
}
