package introducer

import (
	"slices"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
)

const (
	// Messages through the node are for words between clients; what is much
	// belongs on a session between them. One client may send so many.
	relayRate, relayBurst         = 20, 60
	broadcastRate, broadcastBurst = 1, 5
	// spreadRate and spreadBurst are the messages that all broadcasts together
	// make this node send: a large application would multiply them.
	spreadRate, spreadBurst = 5000, 20000
	// maxFollowed is how many others one client may watch.
	maxFollowed = 64
)

const codeNoPeer = "Pileus.Call.NotFound"

// messenger is what a peer has to do with messages through the node.
type messenger struct {
	relays, broadcasts udp.Bucket
	followed           []*Peer // of whom it wants to hear when they go
	followers          []*Peer
}

// sender is who sent a message, as clients of the reference server know it.
func (p *Peer) sender() amf.Object {
	o := amf.Object{{Name: "sender", Value: amf.String(p.ID().String())}}
	if len(p.names) > 0 {
		o = append(o, amf.Member{Name: "senderName", Value: amf.String(p.names[0])})
	}
	return o
}

// rpcRelay: relay(peerID, values…); that peer gets onRelay({sender, senderName},
// values…).
func (n *Node) rpcRelay(p *Peer, args amf.Args) (amf.Value, *callError) {
	target, err := n.addressee("relay", p, args)
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, &callError{codeNoPeer, "no such peer is connected"}
	}
	if !p.messenger.relays.Take(p.session.Engine().Now(), relayRate, relayBurst) {
		return nil, &callError{codeTooFast, "too many messages in a short time; wait some seconds"}
	}
	if target.conn.Send("onRelay", append(amf.Args{p.sender()}, args.From(1)...)...) != nil {
		n.stats.MessagesLost++
		return nil, &callError{codeTooFast, "that peer does not read what it gets"}
	}
	n.stats.Messages++
	return amf.Null{}, nil
}

// rpcBroadcast: broadcast(values…); every client of the application gets onRelay,
// the sender too.
func (n *Node) rpcBroadcast(p *Peer, args amf.Args) (amf.Value, *callError) {
	now := p.session.Engine().Now()
	if !p.messenger.broadcasts.Take(now, broadcastRate, broadcastBurst) {
		return nil, &callError{codeTooFast, "too many broadcasts in a short time; wait some seconds"}
	}
	message := append(amf.Args{p.sender()}, args...)
	for _, to := range n.peers {
		if to.tenant != p.tenant || to.app != p.app {
			continue
		}
		if !n.spread.Take(now, spreadRate, spreadBurst) || to.conn.Send("onRelay", message...) != nil {
			n.stats.MessagesLost++
			continue
		}
		n.stats.Messages++
	}
	return amf.Null{}, nil
}

// rpcWatchPeer: watch(peerID); the caller gets onDisconnected(peerID) when that peer
// goes, at once if it is not here.
func (n *Node) rpcWatchPeer(p *Peer, args amf.Args) (amf.Value, *callError) {
	target, err := n.addressee("watch", p, args)
	if err != nil {
		return nil, err
	}
	switch {
	case target == nil:
		id, _ := args.String(0)
		_ = p.conn.Send("onDisconnected", amf.String(id)) // full: it reads nothing
	case slices.Contains(p.messenger.followed, target):
	case len(p.messenger.followed) >= maxFollowed:
		return nil, &callError{codeTooFast, "so many peers are watched already as one may"}
	default:
		p.messenger.followed = append(p.messenger.followed, target)
		target.messenger.followers = append(target.messenger.followers, p)
	}
	return amf.Null{}, nil
}

// addressee is the peer that a call names; nil: it is not here, or another
// tenant's.
func (n *Node) addressee(of string, p *Peer, args amf.Args) (*Peer, *callError) {
	text, ok := args.String(0)
	id, err := flash.ParsePeerID(text)
	if !ok || err != nil {
		return nil, badArguments(of + " takes a peer ID, 64 hexadecimal digits")
	}
	if t := n.peers[id]; t != nil && t.tenant == p.tenant {
		return t, nil
	}
	return nil, nil
}

// goFrom tells those who watch p that it has gone.
func (p *Peer) goFrom() {
	for _, w := range p.messenger.followers {
		w.messenger.followed = slices.DeleteFunc(w.messenger.followed, func(o *Peer) bool { return o == p })
		_ = w.conn.Send("onDisconnected", amf.String(p.ID().String())) // full: it reads nothing
	}
	for _, o := range p.messenger.followed {
		o.messenger.followers = slices.DeleteFunc(o.messenger.followers, func(w *Peer) bool { return w == p })
	}
	p.messenger = messenger{}
}
