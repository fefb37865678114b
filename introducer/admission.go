package introducer

import (
	"pileus/introducer/tenant"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/netconn"
)

// admission is a client that has connected, and what it may do if it is taken.
type admission struct {
	request netconn.Request // its path without developer key, its arguments without token
	tenant  string
	token   tenant.Token // zero: none
}

// admit lets a client in, or does not.
func (c *client) admit(r netconn.Request) {
	n := c.node
	if n.draining {
		c.refuse("this node is about to stop; connect again to reach another")
		return
	}
	if why := outsized(r); why != "" {
		c.refuse(why)
		return
	}
	a, why := n.admission(c, r)
	switch {
	case why != "":
		c.refuse(why)
	case n.cfg.Ask == nil:
		c.enter(a)
	default:
		s := c.conn.Session()
		p := n.newPeer(c, a)
		who := PeerInfo{
			ID: s.PeerID(), Tenant: a.tenant, App: a.request.App, Name: a.token.Name, Addr: s.Addr(), Since: s.Engine().Now(),
		}
		c.waiting = p
		n.probe(p)
		if !n.ask(&inquiry{
			question: Question{Kind: PeerConnected, Peer: who, Connect: &a.request}, by: &p.holds, weight: 1 + r.Size/questionBytes,
			wanted: s.Open, done: func(v Verdict) { c.decided(a, v) },
		}, s.Addr().Addr()) {
			c.refuse("too many clients wait to be let in; connect again in some seconds")
		}
	}
}

// decided takes the verdict of whoever decides beside the node. It has no effect if the
// client is gone.
func (c *client) decided(a admission, v Verdict) {
	switch {
	case !v.Allow:
		c.refuse(v.Reason)
	case c.node.full(a.tenant): // others were faster
		c.refuse(tenantFull)
	default:
		c.enter(a)
	}
}

const (
	// maxApp is the longest path of an application, in bytes: it is kept for each client.
	maxApp = 1 << 10
	// maxConnect is how large a connect may be as it is written out, in bytes, for who
	// decides beside the node: an answer has 64 KiB.
	maxConnect = 64 << 10
	// maxArguments is how many values its arguments may have, of any depth: all are kept
	// while somebody decides.
	maxArguments = 1 << 10
)

// outsized says what of a connect is more than may be.
func outsized(r netconn.Request) string {
	most, values := min(growth*r.Size+slack, maxConnect), append(amf.Args{r.Properties}, r.Args...)
	switch {
	case len(r.App) > maxApp:
		return "the path of the application is too long"
	case amf.Size(most, values...) > most || amf.Count(maxArguments, values...) > maxArguments:
		return "the arguments of connect are too large, or too many"
	}
	return ""
}

// admission tells whose client it is, or why it is not taken.
func (n *Node) admission(c *client, r netconn.Request) (a admission, why string) {
	a = admission{request: r, tenant: DefaultTenant}
	if n.cfg.Tenants == nil {
		return a, ""
	}
	t, rest := n.cfg.Tenants.Find(r.App)
	a.tenant, a.request.App = t.Name, rest
	switch {
	case t.Closed && t.Name == tenant.Default:
		return a, "a developer key is needed: rtmfp://host/KEY/app"
	case t.Closed:
		return a, "this developer key is not in use"
	case n.full(t.Name):
		return a, tenantFull
	}
	if t.RequireToken {
		text, _ := r.Args.String(0)
		now := c.conn.Session().Engine().Now()
		if n.cfg.Wall != nil {
			now = n.cfg.Wall()
		}
		var err error
		if a.token, err = n.cfg.Tenants.Spend(now, t, rest, text); err != nil {
			return a, err.Error()
		}
		a.request.Args = r.Args.From(1)
	}
	return a, ""
}

const tenantFull = "as many clients of this developer key are here as may be"

// full tells whether a tenant has all the clients it may have.
func (n *Node) full(name string) bool {
	if n.cfg.Tenants == nil {
		return false
	}
	limit := n.cfg.Tenants.Named(name).MaxPeers
	return limit > 0 && n.members[name] >= limit
}

// refuse tells the client why it is not taken, and ends its session.
func (c *client) refuse(why string) {
	c.node.stats.Refused++
	if c.waiting != nil {
		c.waiting.stopProbing()
	}
	if why == "" {
		why = "this client is not wanted here"
	}
	c.conn.Reject(netconn.StatusConnectRejected, why)
}

// Drain takes no clients from now on, or takes them again. Those that are here
// stay and are still introduced.
func (n *Node) Drain(on bool) { n.draining = on }
