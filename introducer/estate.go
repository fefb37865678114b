package introducer

import "time"

// A peer whose session a newer one of the same endpoint has replaced comes back: its
// connect has decrypted already, or is about to. What it had is kept for it meanwhile, so
// that nobody else can take its names, and its splices go on.
const (
	estateLife = 10 * time.Second // more than a connect and some calls take
	maxEstates = 1 << 12          // that are kept at a time; others end at once
)

// keepEstate has p depart later, if there are not too many.
func (n *Node) keepEstate(p *Peer) {
	if n.estates >= maxEstates {
		n.depart(p)
		return
	}
	n.estates++
	p.session.Engine().After(estateLife, func() {
		n.estates--
		n.depart(p)
	})
}

// depart takes p, which is not in the directory any more, out of all else. A newer
// session of it inherits those who wait for it to go.
func (n *Node) depart(p *Peer) {
	n.leave(p)
	heir := n.peers[p.ID()]
	if heir != nil && heir.tenant == p.tenant {
		p.passFollowers(heir)
	}
	p.goFrom()
	if n.cfg.Relay != nil && heir == nil {
		n.cfg.Relay.Gone(p.ID())
	}
}

// passFollowers has those who watch p watch heir.
func (p *Peer) passFollowers(heir *Peer) {
	for _, w := range p.messenger.followers {
		for i, o := range w.messenger.followed {
			if o == p {
				w.messenger.followed[i] = heir
			}
		}
	}
	heir.messenger.followers = append(heir.messenger.followers, p.messenger.followers...)
	p.messenger.followers = nil
}
