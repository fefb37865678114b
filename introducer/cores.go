package introducer

import (
	"net/netip"
	"slices"
	"time"

	"pileus/introducer/pairing"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/wire"
)

// CoresConfig puts a node in front of core servers. Its clients are theirs: the
// node sends them there and knows nothing of them.
type CoresConfig struct {
	Keys map[string]string // passwords, by key ID
	// OtherFamilies names a core's IPv6 addresses to IPv4 clients too, and the
	// other way round.
	OtherFamilies bool
}

// authDelay is how long a core that did not prove itself waits for its answer.
const authDelay = 2 * time.Second

// coreBuffer is what waits on a core's flows, in bytes of memory: registrations and loads.
const coreBuffer = 16 << 10

// CoreInfo is a core server that has registered.
type CoreInfo struct {
	ID        flash.PeerID
	KeyID     string
	Addr      netip.AddrPort
	Addresses []netip.AddrPort // advertised beside Addr
	Load      uint64
	Draining  bool
	Since     time.Time
	Sent      uint64 // clients
}

// CoreInfos lists the core servers.
func (n *Node) CoreInfos() []CoreInfo {
	cores := n.pool.Cores()
	list := make([]CoreInfo, 0, len(cores))
	for _, c := range cores {
		list = append(list, CoreInfo{
			c.PeerID(), c.KeyID, c.Addr(), slices.Clone(c.Addresses), c.Load, c.Draining, c.Since, c.Sent,
		})
	}
	return list
}

// coreLink is a session by which a core server registers.
type coreLink struct {
	node         *Node
	session      *rtmfp.Session
	registration pairing.Registration
	core         *pairing.Core // once it can be found
	out          *flow.SendFlow
	refused      bool
}

// register takes the flow on which a core server speaks; one for each session.
func (h *sessionFlows) register(f *flow.RecvFlow) (flow.Accept, error) {
	if h.node.cfg.Cores == nil || h.core != nil || h.conn != nil || f.ReturnOf() != nil {
		return flow.Accept{}, &flow.Exception{}
	}
	h.core = &coreLink{node: h.node, session: h.session}
	return flow.Accept{Receiver: h.core, Capacity: coreBuffer}, nil
}

// Message implements flow.Receiver.
func (c *coreLink) Message(f *flow.RecvFlow, message []byte) {
	if c.refused {
		return
	}
	n, e := c.node, c.session.Engine()
	nonce, _ := c.session.Nonces()
	opened, err := c.registration.Take(message, nonce, n.cfg.Cores.Keys)
	if err != nil {
		c.refused = true
		n.stats.CoresRefused++
		// Not at once: passwords are not to be tried in a row.
		e.After(authDelay, func() { f.Reject(pairing.ExceptionAuth) })
		return
	}
	if opened && c.out == nil {
		if c.out, err = c.session.OpenFlow([]byte(pairing.RedirectorURI), flow.SendOptions{ReturnOf: f, Buffer: coreBuffer}); err != nil {
			c.session.Abort(err)
			return
		}
		c.observed()
	}
	if c.registration.Placed && c.core == nil {
		core := &pairing.Core{Link: coreAddr{c.session, n}, Registration: &c.registration, Since: e.Now()}
		if !n.pool.Add(core) {
			n.stats.CoresRefused++
			c.session.Close()
			return
		}
		c.core = core
		n.log.event(e.Now(), eventCore, "core", core.PeerID().String(), "address", c.session.Addr(), "key", clip(c.registration.KeyID))
	}
}

// Ended implements flow.Receiver: a core that ends its flow unregisters.
func (c *coreLink) Ended(*flow.RecvFlow, error) { c.gone() }

// observed tells the core at which address it is seen.
func (c *coreLink) observed() {
	if c.out != nil {
		_ = c.out.Write(pairing.AppendObserved(nil, c.session.Addr()), flow.WriteOptions{}) // full: it reads nothing
	}
}

func (c *coreLink) gone() {
	if c.core == nil {
		return
	}
	c.node.pool.Remove(c.core)
	c.node.log.event(c.session.Engine().Now(), eventCoreGone, "core", c.core.PeerID().String(), "address", c.session.Addr())
	c.core = nil
}

// coreAddr is a core's session with the name it has outside.
type coreAddr struct {
	*rtmfp.Session
	node *Node
}

func (a coreAddr) Addr() netip.AddrPort { return a.node.cfg.Names.Outside(a.Session.Addr()) }

// toCore sends an initiator on to a core: to the one it names, else to one that
// has room. False: it looks for something else.
func (n *Node) toCore(e *rtmfp.Engine, h rtmfp.Hello) bool {
	if n.cfg.Cores == nil {
		return false
	}
	var core *pairing.Core
	switch {
	case h.EPD.HasFingerprint:
		if core = n.pool.Find(h.EPD.Fingerprint); core == nil {
			return false
		}
	case !h.EPD.HasAncillary:
		return false
	}
	// Anybody can ask, under anybody's address.
	if !n.allowStranger(e.Now(), h.From.Addr()) {
		n.stats.Limited++
		return true
	}
	other := n.cfg.Cores.OtherFamilies
	if core == nil {
		core = n.pool.Choose(e.Now(), h.From, h.Tag, other)
	}
	var addrs []wire.Address
	if core != nil {
		for _, a := range core.At(h.From, other) {
			addrs = append(addrs, wire.Address{AddrPort: a, Origin: wire.OriginObserved})
		}
	}
	if len(addrs) == 0 {
		n.stats.NoCore++
		return true
	}
	session := core.Link.(coreAddr).Session
	// The core's answer goes there too. With fewer addresses both may fit; else there are as
	// many as fit, and a client whose question was so short asks the core itself.
	answer := e.RHelloLen(h.Tag, session.Far())
	fit := func(more ...int) []wire.Address {
		list := addrs
		for len(list) > 1 && rtmfp.Amplifies(h.From, h.Size, append(more, e.RedirectLen(h.Tag, list))...) {
			list = list[:len(list)-1]
		}
		return list
	}
	if both := fit(answer); !rtmfp.Amplifies(h.From, h.Size, answer, e.RedirectLen(h.Tag, both)) {
		addrs = both
	} else {
		addrs = fit()
	}
	redirect := e.RedirectLen(h.Tag, addrs)
	if !e.MayAnswer(h.From, h.Size, redirect) {
		n.stats.Limited++
		return true
	}
	n.stats.ToCores++
	e.Redirect(h.Local, h.From, h.Tag, addrs)
	if (other || session.Addr().Addr().Is4() == h.From.Addr().Is4()) &&
		e.MayAnswer(h.From, h.Size, redirect, answer) {
		session.ForwardHello(h.RawEPD, wire.Address{AddrPort: h.From, Origin: wire.OriginObserved}, h.Tag)
	}
	return true
}
