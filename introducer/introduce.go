package introducer

import (
	"cmp"
	"net/netip"
	"time"

	"pileus/introducer/strategy"
	"pileus/rtmfp"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/wire"
)

// Hello implements rtmfp.Handler: an IHello for somebody else. An unknown peer
// and a stranger both get silence: who asks must not learn which it was.
func (n *Node) Hello(e *rtmfp.Engine, h rtmfp.Hello) {
	if n.toCore(e, h) {
		return
	}
	if !h.EPD.HasFingerprint {
		n.stats.OtherSelector++
		return
	}
	asker := n.at(e, h)
	if asker == nil && !n.cfg.Anonymous {
		n.stats.Stranger++
		return
	}
	target := n.peers[h.EPD.Fingerprint]
	if target == nil || target.tenant != asker.tenantName() {
		n.stats.Unknown++
		n.notFound(e, asker, h)
		return
	}
	if target == asker {
		return
	}
	if !n.allow(e, asker, target, h) {
		n.stats.Limited++
		n.failed(asker, h, failLimited)
		return
	}
	if n.permitted(e, asker, target, h) {
		n.proceed(e, asker, target, h)
	}
}

const (
	// notFoundRate and notFoundBurst bound the questions of one peer for others that
	// are not here that leave a trace. (What strangers ask leaves none.)
	notFoundRate  = 1
	notFoundBurst = 10
)

// notFound takes a question for a peer that is not here, or not in the asker's tenant.
func (n *Node) notFound(e *rtmfp.Engine, asker *Peer, h rtmfp.Hello) {
	if asker == nil {
		return
	}
	n.failed(asker, h, failUnknown)
	if asker.lost.Take(e.Now(), notFoundRate, notFoundBurst) {
		n.emit(Event{
			Kind: PeerNotFound, At: e.Now(), Peer: asker.Info(), Target: PeerInfo{ID: h.EPD.Fingerprint, Tenant: asker.tenant},
			Reason: failUnknown.reason,
		})
	}
}

// proceed introduces two that nothing speaks against.
func (n *Node) proceed(e *rtmfp.Engine, asker, target *Peer, h rtmfp.Hello) {
	if len(n.cfg.Probes) > 0 || n.cfg.Relay != nil {
		n.carryOut(e, asker, target, h)
		return
	}
	n.introduce(e, asker, target, h)
}

// tenantName is whose p is; an anonymous initiator is nobody's in particular.
func (p *Peer) tenantName() string {
	if p == nil {
		return DefaultTenant
	}
	return p.tenant
}

// at is the peer whose session comes from the very address of the IHello.
func (n *Node) at(e *rtmfp.Engine, h rtmfp.Hello) *Peer {
	s := e.At(h.From)
	if s == nil {
		return nil
	}
	if p := n.peers[s.PeerID()]; p != nil && p.session == s {
		return p
	}
	return nil
}

func (n *Node) allow(e *rtmfp.Engine, asker, target *Peer, h rtmfp.Hello) bool {
	switch now := e.Now(); {
	case asker == nil && !n.allowStranger(now, h.From.Addr()):
	case asker != nil && !(asker.rate.Take(now, introductionRate, introductionBurst) &&
		asker.ask(target, cmp.Or(asker.maxPending, n.cfg.MaxPending), now)):
	case target.sought.rate.Take(now, h.From, 1, n.targetRate()) != flow.Granted:
		n.stats.TargetLimited++
	default:
		return true
	}
	return false
}

// allowStranger rations what those without a session have the node do. A prefix has its
// ration only while more than half of that of all is used up.
func (n *Node) allowStranger(now time.Time, addr netip.Addr) bool {
	own := n.anonymous.Allow(now, addr)
	rate := float64(n.limits.StrangerRate)
	if rate == 0 {
		return true
	}
	switch spent, burst := n.strangers.Spent(now, rate), rate*strangerBurst; {
	case spent >= burst, !own && spent > burst/2:
		return false
	}
	n.strangers.Spend(1)
	return true
}

const plainWhy = "nothing is known of the two: they are told of each other, no more"

// introduce is the plain way, for a node that has no probe sockets and so knows
// nothing of its clients. It tells the initiator where the target is, and the
// target that the initiator comes: its answer opens its own NAT for the
// initiator's packets. Redirect first, as every server does.
func (n *Node) introduce(e *rtmfp.Engine, asker, target *Peer, h rtmfp.Hello) {
	addrs := named(target, asker)
	addrs[0].AddrPort = n.outside(target.Addr(), h.From)
	e.Redirect(h.Local, h.From, h.Tag, addrs)
	reply := wire.Address{AddrPort: n.outside(h.From, target.Addr()), Origin: wire.OriginObserved}
	target.session.ForwardHello(h.RawEPD, reply, h.Tag)
	n.stats.Introduced++
	n.pairs.began(newTrial(e.Now(), asker, target, h.Tag, strategy.Punch), h.From.Addr()).why = plainWhy
	n.logIntroduction(e.Now(), asker, target, h.From, nil)
	n.emitPlan(PeersIntroduced, e.Now(), asker, target, h.From, PlanInfo{Why: plainWhy})
}

// logIntroduction logs an introduction, and the plan if there is one.
func (n *Node) logIntroduction(now time.Time, asker, target *Peer, from netip.AddrPort, plan *strategy.Plan) {
	if !n.log.take(now, eventIntroduce) {
		return
	}
	var more []any
	if plan != nil {
		more = []any{"strategy", plan.Strategy.String(), "sure", plan.Sure, "why", plan.Why}
	}
	initiator := "anonymous"
	if asker != nil {
		initiator = asker.ID().String()
	}
	n.log.write(eventIntroduce, append([]any{
		"initiator", initiator, "initiator_address", from, "target", target.ID().String(), "target_address", target.Addr(),
	}, more...)...)
}

// outside is how others reach a peer at addr that may run on this machine. Two
// that both do meet inside.
func (n *Node) outside(addr, other netip.AddrPort) netip.AddrPort {
	if n.cfg.Names.Outside(other) != other {
		return addr
	}
	return n.cfg.Names.Outside(addr)
}
