package introducer

import (
	"time"

	"pileus/introducer/strategy"
	"pileus/rtmfp/flash"
)

// keepaliveSlack is how much later than its client the node pings, for those
// that do not do as they are told: still before NATs forget a mapping, after
// 30 s.
const keepaliveSlack = 5 * time.Second

// keepalives are the silences after which a client is to ping the node and its
// peers.
type keepalives struct{ node, peer time.Duration }

// keepAlive tells p what fits its NAT, if that is not what it was told last.
// Clients send no keepalives unless told to.
func (n *Node) keepAlive(p *Peer) {
	k := keepalives{n.cfg.ServerKeepalive, n.cfg.PeerKeepalive}
	if p.behavior != nil && !n.cfg.FixedKeepalive {
		k.node, k.peer = strategy.Keepalive(*p.behavior)
	}
	if p.relayed {
		k.peer = min(k.peer, strategy.KeepaliveRelayed)
	}
	if k == p.keepalives {
		return
	}
	p.keepalives = k
	p.session.SetKeepalive(k.node + keepaliveSlack)
	if err := p.conn.SetKeepalive(k.node, k.peer); err != nil {
		n.cfg.Log.Debug("set keepalive", "peer", p.ID().String(), "error", err)
	}
}

// SetRelayed says whether a relay carries what a peer sends. While it does, the
// peer's keepalives are short: behind a relay that lost its address, it is deaf
// until it speaks.
func (n *Node) SetRelayed(id flash.PeerID, relayed bool) {
	if p := n.peers[id]; p != nil && p.relayed != relayed {
		p.relayed = relayed
		n.keepAlive(p)
	}
}
