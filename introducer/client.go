package introducer

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"pileus/rtmfp"
	"pileus/rtmfp/netconn"
)

// client is one NetConnection, as its server tells it: a netconn.ServerHandler.
type client struct {
	node *Node
	conn *netconn.Conn
	peer *Peer // once connected

	waiting *Peer // until then, once it has asked to be
}

func (n *Node) welcome(c *netconn.Conn) netconn.ServerHandler { return &client{node: n, conn: c} }

// Connect takes any application path, if whoever decides beside this node has
// nothing against it.
func (c *client) Connect(r netconn.Request) { c.admit(r) }

// enter takes the client. Its connect decrypted, so it holds the key of its
// certificate, if that has one.
func (c *client) enter(a admission) {
	r := a.request
	n, s := c.node, c.conn.Session()
	if err := c.conn.Accept(); err != nil {
		return // Closed is called
	}
	c.peer, c.waiting = c.waiting, nil
	if c.peer == nil {
		c.peer = n.newPeer(c, a)
	}
	c.peer.admitted, c.peer.since = true, s.Engine().Now()
	n.stats.Connected++
	n.members[a.tenant]++
	// An ephemeral certificate can be shown by anyone who has seen it: it proves
	// no fingerprint.
	if s.Far().HasStaticKey() {
		if older := n.peers[c.peer.ID()]; older != nil {
			n.leaveRoom(older)
		}
		n.peers.add(c.peer)
		n.enterRoom(c.peer)
		c.peer.relayed = n.relayed[c.peer.ID()] > 0 // by an earlier session of it
		if w := n.timelines[c.peer.ID()]; w != nil {
			w.timeline.Follow(s)
		}
	} else {
		n.stats.Unproven++
	}
	n.log.event(s.Engine().Now(), eventConnect,
		"peer", c.peer.ID().String(), "address", s.Addr(), "app", clip(r.App), "flash_version", clip(r.FlashVersion))
	n.nameFromConnect(c.peer, r, a.token.Name)
	n.emit(Event{Kind: PeerConnected, At: s.Engine().Now(), Peer: c.peer.Info(), Connect: &r})
	n.keepAlive(c.peer)
	n.welcomed(c.peer)
}

func (n *Node) newPeer(c *client, a admission) *Peer {
	return &Peer{session: c.conn.Session(), conn: c.conn, app: a.request.App, tenant: a.tenant, maxPending: a.token.Pending}
}

// SetPeerInfo replaces the addresses the peer says it has.
func (c *client) SetPeerInfo(addrs []netip.AddrPort) {
	if c.peer == nil || !c.heeds() {
		return
	}
	c.node.stats.SetPeerInfo++
	c.peer.reported = append([]netip.AddrPort(nil), addrs[:min(len(addrs), maxReported)]...)
	if !slices.Contains(c.peer.reported, c.peer.proven) {
		c.peer.proven = netip.AddrPort{}
	}
	c.node.log.event(c.conn.Session().Engine().Now(), eventSetPeerInfo,
		"peer", c.peer.ID().String(), "addresses", len(addrs))
	c.node.reported(c.peer)
}

// Moved has the new address probed; introductions read it from the session.
func (c *client) Moved() {
	if c.peer != nil {
		c.peer.holds.Move(c.peer.Addr().Addr())
		c.peer.inRealm.Move(c.peer.Addr().Addr())
		c.peer.behavior, c.peer.steady, c.peer.proven, c.peer.latest = nil, false, netip.AddrPort{}, netip.AddrPort{}
		if r := c.node.cfg.Relay; r != nil {
			r.Moved(c.peer.ID(), c.peer.Addr())
		}
		c.node.probe(c.peer)
		c.node.moved(c.peer)
	}
}

func (c *client) Closed(err error) {
	if c.waiting != nil {
		c.waiting.stopProbing()
	}
	if c.peer == nil {
		return
	}
	n, s := c.node, c.conn.Session()
	n.peers.remove(c.peer)
	n.leaveRoom(c.peer)
	c.peer.leaveGroups()
	if errors.Is(err, rtmfp.ErrOverridden) {
		n.keepEstate(c.peer)
	} else {
		n.depart(c.peer)
	}
	if n.members[c.peer.tenant]--; n.members[c.peer.tenant] == 0 {
		delete(n.members, c.peer.tenant)
	}
	c.peer.stopProbing()
	now := s.Engine().Now()
	received, sent := s.Bytes()
	n.emit(Event{Kind: PeerClosed, At: now, Peer: c.peer.Info(), Bytes: [2]uint64{received, sent}, Reason: reason(err)})
	n.log.event(now, eventClose,
		"peer", c.peer.ID().String(), "address", s.Addr(), "seconds", int(now.Sub(c.peer.since).Seconds()), "reason", reason(err))
}

// reason is err in one word for a log.
func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, rtmfp.ErrMemory):
		return "memory"
	case errors.Is(err, netconn.ErrUnread):
		return "unread"
	case errors.Is(err, rtmfp.ErrOverridden):
		return "overridden"
	case err == nil, errors.Is(err, net.ErrClosed):
		return "closed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	default:
		return err.Error()
	}
}

// clip bounds what a client wrote before it goes into a log.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
