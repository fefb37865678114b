package introducer

import (
	"net/netip"
	"time"

	"pileus/natprobe"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/share"
	"pileus/rtmfp/udp"
)

// Peer is a client that is connected and has proven its key.
type Peer struct {
	session    *rtmfp.Session
	app        string
	tenant     string           // introductions and presence do not cross it
	reported   []netip.AddrPort // as setPeerInfo gave them, at most maxReported
	since      time.Time
	pending    []pending // introductions asked for lately
	maxPending int       // of them; 0: the node's limit
	rate       udp.Bucket
	calls      udp.Bucket
	conn       *netconn.Conn
	admitted   bool               // it may be here: nobody has to be asked any more
	probing    *probing           // under way
	behavior   *natprobe.Behavior // once classified
	steady     bool               // nothing was lost then, nor asked for again since
	latest     netip.AddrPort     // the newest mapping seen
	proven     netip.AddrPort     // a reported address of another family than the session's, that answered
	relayed    bool               // a relay carries what it sends
	keepalives keepalives         // as it was told last
	reply      int                // which probe socket was named last for a fresh mapping
	lost       udp.Bucket         // questions for peers that are not here

	introductions audience[*introduction] // under way
	sought        sought                  // by how many others
	review        review                  // of its introductions

	memberships []*membership // in groups
	messenger   messenger
	listed      *seat[*Peer] // among all
	holds       share.Holder // of what the node's clients share
	inRealm     share.Holder // of what its tenant's do

	names     []string                // it is known by
	watches   map[string]*seat[*Peer] // names it wants to hear of
	registers udp.Bucket

	notify bool     // wants to be told of introductions that fail
	told   []string // the tags of those it was told of, at most maxTold
}

// maxReported bounds what setPeerInfo may bring; a host with more interfaces
// than that names the first ones.
const maxReported = 16

// ID is the peer's fingerprint.
func (p *Peer) ID() flash.PeerID { return p.session.PeerID() }

// Addr is the peer's address as observed here.
func (p *Peer) Addr() netip.AddrPort { return p.session.Addr() }

// pending is an introduction that may still be under way.
type pending struct {
	target *Peer
	until  time.Time
}

// pendingFor covers the repeats of an IHello that other clients send (1.0, 3.5,
// 7.5 and 13 s after the first).
const pendingFor = 15 * time.Second

// ask notes that p wants to meet target and reports whether it may: at most
// limit targets at a time (0: any number). Asking again for one is free.
func (p *Peer) ask(target *Peer, limit int, now time.Time) bool {
	live := p.pending[:0]
	found := false
	for _, q := range p.pending {
		if q.target == target {
			q.until, found = now.Add(pendingFor), true
		}
		if now.Before(q.until) {
			live = append(live, q)
		}
	}
	clear(p.pending[len(live):])
	p.pending = live
	if found {
		return true
	}
	if limit > 0 && len(live) >= limit {
		return false
	}
	p.pending = append(live, pending{target, now.Add(pendingFor)})
	return true
}

// directory holds the peers by fingerprint. Several sessions of one fingerprint
// can overlap when a client reconnects; the latest counts.
type directory map[flash.PeerID]*Peer

func (d directory) add(p *Peer) { d[p.ID()] = p }

// remove takes p out, unless a newer session has its place.
func (d directory) remove(p *Peer) {
	if d[p.ID()] == p {
		delete(d, p.ID())
	}
}
