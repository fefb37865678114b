package netconn

import (
	"errors"
	"net/netip"
	"slices"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
)

// Peer is another client of the same server, and the session with it: opened by
// either end, through the server.
type Peer struct {
	client  *Client
	id      flash.PeerID
	session *rtmfp.Session

	subscriptions []*Subscription // streams played from the peer
	subscribers   []*subscriber   // streams it plays from us
	nextStream    uint32
	sending       int // flows to the peer that are not over
	open, closing bool
}

// ID is the peer's ID.
func (p *Peer) ID() flash.PeerID { return p.id }

// Session is the session with the peer. It may be replaced by another until it
// is open, when both ends call each other at once.
func (p *Peer) Session() *rtmfp.Session { return p.session }

// Open tells whether the session is open.
func (p *Peer) Open() bool { return p.open }

// Peers are those that the client has sessions with or opens them to.
func (c *Client) Peers() []*Peer { return slices.Clone(c.peers) }

// Close ends all streams with the peer, then the session. What was sent is
// still delivered.
func (p *Peer) Close() {
	p.closing = true
	for _, s := range slices.Clone(p.subscribers) {
		s.unpublish()
	}
	for _, s := range slices.Clone(p.subscriptions) {
		s.Close()
	}
	p.settle()
}

// Accept is for rtmfp.Handler.Accept: the handler of a session that a peer
// opened. Without a NetConnection there are no peers.
func (c *Client) Accept(s *rtmfp.Session) rtmfp.SessionHandler {
	if c.state != clientConnected || len(c.peers) >= maxPeers {
		return nil
	}
	if i := slices.IndexFunc(c.peers, func(p *Peer) bool { return p.session == s }); i >= 0 {
		return (*peerSession)(c.peers[i]) // see Closed
	}
	p := &Peer{client: c, id: s.PeerID(), session: s}
	c.peers = append(c.peers, p)
	return (*peerSession)(p)
}

// peer is the peer of that ID, with a session to it on the way if there was
// none.
func (c *Client) peer(id flash.PeerID) (*Peer, error) {
	for _, p := range c.peers {
		if p.id == id && !p.closing {
			return p, nil
		}
	}
	if len(c.peers) >= maxPeers {
		return nil, ErrTooMany
	}
	p := &Peer{client: c, id: id}
	// "using the server session's DESTADDR as the initial candidate address"
	// (RFC 7425 5.4.1)
	var err error
	p.session, err = c.engine.Open(rtmfp.Target{
		EPD:   flash.EPD{Fingerprint: id, HasFingerprint: true},
		Addrs: []netip.AddrPort{c.session.Addr()},
		Local: c.session.Local(),
		Retry: c.cfg.Retry,
	}, (*peerSession)(p))
	if err != nil {
		return nil, err
	}
	c.peers = append(c.peers, p)
	return p, nil
}

// settle closes the session of a peer that is closing when nothing is left to
// deliver, and one that we opened when no stream uses it any more.
func (p *Peer) settle() {
	unused := p.session.Initiator() && len(p.subscriptions)+len(p.subscribers) == 0
	if p.sending == 0 && (p.closing || unused) {
		p.closing = true
		p.session.Close()
		p.gone()
	}
}

// gone forgets a peer whose session is over.
func (p *Peer) gone() {
	c := p.client
	if i := slices.Index(c.peers, p); i >= 0 {
		c.peers = slices.Delete(c.peers, i, i+1)
		c.proceed()
	}
}

// openFlow opens a flow to the peer; sent must be called when it is over.
func (p *Peer) openFlow(m Metadata, o flow.SendOptions) (*flow.SendFlow, error) {
	f, err := p.session.OpenFlow(m.Append(nil), o)
	if err == nil {
		p.sending++
	}
	return f, err
}

// sent takes note that a flow to the peer is over.
func (p *Peer) sent() {
	p.sending--
	p.settle()
}

// peerSession is a Peer as its session sees it.
type peerSession Peer

func (s *peerSession) Opened(session *rtmfp.Session) {
	p := (*Peer)(s)
	// The peer called us while we were calling it: one session will do.
	for _, other := range slices.Clone(p.client.peers) {
		if other != p && other.id == p.id && !other.open {
			p.subscriptions = append(p.subscriptions, other.leave(p)...)
			other.settle()
		}
	}
	p.opened(session)
}

func (p *Peer) opened(session *rtmfp.Session) {
	p.session, p.open = session, true
	if d := p.client.peerKeepalive; d > 0 {
		session.SetKeepalive(d)
	}
	for _, s := range slices.Clone(p.subscriptions) {
		if s.control == nil {
			s.start()
		}
	}
}

// uses tells whether s is the session of a peer.
func (c *Client) uses(s *rtmfp.Session) bool {
	return slices.ContainsFunc(c.peers, func(p *Peer) bool { return p.session == s })
}

// leave hands the streams that wait for p's session to another peer.
func (p *Peer) leave(to *Peer) []*Subscription {
	waiting := p.subscriptions
	p.subscriptions = nil
	for _, s := range waiting {
		s.peer = to
	}
	return waiting
}

func (s *peerSession) Moved(*rtmfp.Session) {}

func (s *peerSession) Closed(_ *rtmfp.Session, err error) {
	p := (*Peer)(s)
	// The peer opened a session to us meanwhile, which is unknown here before
	// its first packet. It can be used all the same.
	var d *rtmfp.DuplicateError
	if errors.As(err, &d) && d.Session.Open() && !p.closing && !p.client.uses(d.Session) {
		p.opened(d.Session)
		return
	}
	p.open, p.closing = false, true
	subscribers, subscriptions := p.subscribers, p.subscriptions
	p.subscribers, p.subscriptions = nil, nil
	for _, s := range subscribers {
		s.over(err)
	}
	for _, s := range subscriptions {
		s.over(err)
	}
	p.gone()
}

// Incoming takes the flows of streams (RFC 7425 5.4.2): one without association
// is a subscriber's control flow, one that answers the control flow of a
// subscription brings its messages.
func (s *peerSession) Incoming(_ *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	p, c := (*Peer)(s), s.client
	m, err := ParseMetadata(f.Metadata())
	if err != nil {
		c.stats.drop(DropFlow)
		return reject()
	}
	// "The flow MUST have a non-zero Stream ID."
	if m.StreamID == 0 || p.closing {
		c.stats.drop(DropStreamFlow)
		return reject()
	}
	if f.ReturnOf() == nil {
		if len(p.subscribers) >= maxSubscribers {
			c.stats.drop(DropLimit)
			return reject()
		}
		s := &subscriber{peer: p, streamID: m.StreamID, in: f}
		p.subscribers = append(p.subscribers, s)
		return flow.Accept{Receiver: s}, nil
	}
	i := slices.IndexFunc(p.subscriptions, func(s *Subscription) bool { return s.control == f.ReturnOf() })
	if i < 0 {
		c.stats.drop(DropStreamFlow)
		return reject()
	}
	return p.subscriptions[i].incoming(f, m)
}
