package introducer

import "pileus/rtmfp/netconn"

// admit lets a client in, or does not.
func (c *client) admit(r netconn.Request) {
	n := c.node
	switch {
	case n.draining:
		c.refuse("this node is about to stop; connect again to reach another")
	case n.cfg.Ask == nil:
		c.enter(r)
	default:
		s := c.conn.Session()
		who := PeerInfo{ID: s.PeerID(), App: r.App, Addr: s.Addr(), Since: s.Engine().Now()}
		n.cfg.Ask(Question{Kind: PeerConnected, Peer: who, Connect: &r}, func(v Verdict) {
			if v.Allow {
				c.enter(r) // without effect if the client is gone
				return
			}
			c.refuse(v.Reason)
		})
	}
}

// refuse tells the client why it is not taken, and ends its session.
func (c *client) refuse(why string) {
	c.node.stats.Refused++
	if why == "" {
		why = "this client is not wanted here"
	}
	c.conn.Reject(netconn.StatusConnectRejected, why)
}

// Drain takes no clients from now on, or takes them again. Those that are here
// stay and are still introduced.
func (n *Node) Drain(on bool) { n.draining = on }
