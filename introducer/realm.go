package introducer

import (
	"pileus/introducer/group"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/share"
)

// realm is what the clients of one tenant have at the node, beside sessions.
type realm struct {
	names
	name   string
	ledger *share.Ledger
	makers map[group.ID]*share.Holder // of its groups: who made each
}

// realm is that of a tenant, made when needed.
func (n *Node) realm(tenant string) *realm {
	r := n.tenants[tenant]
	if r == nil {
		r = &realm{name: tenant, ledger: share.NewLedger(tenantThings), makers: make(map[group.ID]*share.Holder)}
		n.setTenantShares(r)
		n.tenants[tenant] = r
	}
	return r
}

// forgetTenant keeps nothing for tenants whose clients have nothing.
func (n *Node) forgetTenant(tenant string) {
	r := n.tenants[tenant]
	if r == nil || r.holders.Len() > 0 || len(r.watched) > 0 || r.ledger.Places() > 0 {
		return
	}
	for t := SharedNames; t < NumSharedThings; t++ {
		n.retired[t].note(r.ledger, t.ofTenant())
	}
	delete(n.tenants, tenant)
}

func (r *realm) take(p *Peer, t SharedThing) flow.Refusal {
	return p.inRealm.Take(r.ledger, p.Addr().Addr(), t.ofTenant())
}

// hold is take for what another gave up.
func (r *realm) hold(p *Peer, t SharedThing) { p.inRealm.Hold(r.ledger, p.Addr().Addr(), t.ofTenant()) }

func (r *realm) give(p *Peer, t SharedThing) { p.inRealm.Give(t.ofTenant()) }

// take has p hold one more of what the node's clients share, or says why it may not.
func (n *Node) take(p *Peer, t SharedThing) flow.Refusal {
	return p.holds.Take(n.ledger, p.Addr().Addr(), int(t))
}

func (n *Node) give(p *Peer, t SharedThing) { p.holds.Give(int(t)) }
