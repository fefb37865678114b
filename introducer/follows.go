package introducer

import (
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// maxFollowed is how many others one client may watch.
const maxFollowed = 64

// followed is a peer of whose end others want to hear, whichever session it has: a newer
// one of it takes nothing from them.
type followed struct {
	tenant string
	id     flash.PeerID
}

// rpcWatchPeer: watch(peerID); the caller gets onDisconnected(peerID) when that peer
// goes, at once if it is not here.
func (n *Node) rpcWatchPeer(p *Peer, args call) (amf.Value, *callError) {
	target, err := n.addressee("watch", p, args)
	if err != nil {
		return nil, err
	}
	if target == nil {
		id, _ := args.String(0)
		_ = p.conn.Send("onDisconnected", amf.String(id)) // full: it reads nothing
		return amf.Null{}, nil
	}
	k := followed{target.tenant, target.ID()}
	switch {
	case p.messenger.follows[k] != nil:
		return amf.Null{}, nil
	case len(p.messenger.follows) >= maxFollowed:
		return nil, &callError{codeTooFast, "so many peers are watched already as one may"}
	}
	if why := n.take(p, SharedFollows); why != flow.Granted {
		return nil, tooMany(why, "watches of peers")
	}
	a := n.followers[k]
	if a == nil {
		a = new(audience[*Peer])
		n.followers[k] = a
	}
	if p.messenger.follows == nil {
		p.messenger.follows = make(map[followed]*seat[*Peer])
	}
	p.messenger.follows[k] = a.come(p)
	return amf.Null{}, nil
}

func (n *Node) unfollow(p *Peer, k followed) {
	p.messenger.follows[k].leave()
	delete(p.messenger.follows, k)
	n.give(p, SharedFollows)
	if a := n.followers[k]; a.len() == 0 && len(a.walks) == 0 {
		delete(n.followers, k)
	}
}

// unfollowAll has p watch nobody.
func (n *Node) unfollowAll(p *Peer) {
	for k := range p.messenger.follows {
		n.unfollow(p, k)
	}
}

// gone tells those who watch p that it has gone.
func (n *Node) gone(p *Peer) {
	k := followed{p.tenant, p.ID()}
	a := n.followers[k]
	if a == nil {
		return
	}
	message, walk := netconn.Encode("onDisconnected", amf.String(k.id.String())), a.walk()
	n.spread(&n.spreads, p.session.Engine(), p.Addr().Addr(), &spread{bytes: cost(message.Len()), step: func() bool {
		s := walk.step()
		if s == nil {
			walk.end()
			if a.len() == 0 && len(a.walks) == 0 && n.followers[k] == a {
				delete(n.followers, k)
			}
			return false
		}
		n.unfollow(s.who, k)
		_ = s.who.conn.SendEncoded(message) // full: it reads nothing
		return true
	}})
}
