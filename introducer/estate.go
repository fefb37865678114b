package introducer

import (
	"time"

	"pileus/rtmfp/flow"
)

// A peer whose session a newer one of the same endpoint has replaced comes back: its
// connect has decrypted already, or is about to. What it had is kept for it meanwhile, so
// that nobody else can take its names, and its splices go on.
const (
	estateLife = 10 * time.Second // more than a connect and some calls take
	maxEstates = 1 << 12          // that are kept at a time; others end at once
)

// keepEstate has p depart later, if there are not too many.
func (n *Node) keepEstate(p *Peer) {
	if n.take(p, SharedEstates) != flow.Granted {
		n.depart(p)
		return
	}
	p.session.Engine().After(estateLife, func() {
		n.give(p, SharedEstates)
		n.depart(p)
	})
}

// depart takes p, which is not in the directory any more, out of all else. Those who
// wait for it to go wait for a newer session of it.
func (n *Node) depart(p *Peer) {
	n.leave(p)
	n.unfollowAll(p)
	heir := n.peers[p.ID()]
	if heir == nil || heir.tenant != p.tenant {
		n.gone(p)
	}
	if n.cfg.Relay != nil && heir == nil {
		n.cfg.Relay.Gone(p.ID())
	}
}
