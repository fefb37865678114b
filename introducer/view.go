package introducer

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"time"

	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// PeerDetail is all that is known of a peer at one instant.
type PeerDetail struct {
	PeerInfo
	Local        netip.AddrPort // where it is connected
	RTT          time.Duration
	Reported     []netip.AddrPort
	Names        []string
	Probing      bool
	Behavior     *natprobe.Behavior // nil: not classified yet
	Observations []natprobe.Observation
}

// Roll goes through all peers, some at a time, so that nobody waits for a long list. Who
// comes meanwhile is not in it.
type Roll struct{ walk *walk[*Peer] }

// Roll begins one. It has to be closed.
func (n *Node) Roll() *Roll { return &Roll{n.everybody.walk()} }

// Next calls f for the next of them, so many at most, and reports whether there may be more.
func (r *Roll) Next(most int, f func(PeerInfo)) (more bool) {
	for range most {
		s := r.walk.step()
		if s == nil {
			return false
		}
		f(s.who.Info())
	}
	return true
}

// Close ends it.
func (r *Roll) Close() { r.walk.end() }

// Inspect tells all about one peer.
func (n *Node) Inspect(now time.Time, id flash.PeerID) (d PeerDetail, found bool) {
	p := n.peers[id]
	if p == nil {
		return d, false
	}
	d = PeerDetail{
		PeerInfo: p.Info(), Local: p.session.Local(), RTT: p.session.RTT(),
		Reported: slices.Clone(p.reported), Names: slices.Clone(p.names), Probing: p.probing != nil,
		Observations: slices.Clone(n.evidence.recall(now, p.Addr())),
	}
	if p.behavior != nil {
		b := *p.behavior
		b.Reachable = slices.Clone(b.Reachable)
		d.Behavior = &b
	}
	return d, true
}

// ClosePeer ends a peer's connection politely.
func (n *Node) ClosePeer(id flash.PeerID) (found bool) {
	p := n.peers[id]
	if p != nil {
		p.conn.Close()
	}
	return p != nil
}

// What Bring cannot do.
var (
	ErrNoPeer       = errors.New("introducer: no such peer is connected")
	ErrSamePeer     = errors.New("introducer: a peer and itself")
	ErrOtherTenants = errors.New("introducer: the peers belong to different tenants")
)

// StatusRequested is the event that asks an application to open a session to
// the peer it names.
const StatusRequested = "Pileus.Introduction.Requested"

// Bring has a look for b on somebody else's wish. Only a client can open a
// session, so its application gets the event StatusRequested; the holes in both
// NATs are opened already. The result is the plan of the introduction to come.
func (n *Node) Bring(e *rtmfp.Engine, a, b flash.PeerID) (PlanInfo, error) {
	asker, target := n.peers[a], n.peers[b]
	switch {
	case asker == nil || target == nil:
		return PlanInfo{}, ErrNoPeer
	case asker == target:
		return PlanInfo{}, ErrSamePeer
	case asker.tenant != target.tenant:
		return PlanInfo{}, ErrOtherTenants
	}
	in := &introduction{node: n, engine: e, asker: asker, target: target, local: asker.session.Local(), from: asker.Addr()}
	made := strategy.Decide(in.pair())
	plan := planInfo(&made)
	if err := asker.requested(target.ID()); err != nil {
		return plan, err
	}
	// Nobody waits for these tags: the answers' only use is the way they open.
	if plan.Strategy != strategy.Refuse && plan.Relay != strategy.RelayOnly {
		target.answer(n.outside(asker.Addr(), target.Addr()))
		asker.answer(n.outside(target.Addr(), asker.Addr()))
	}
	return plan, nil
}

// answer has p send an RHello to an address.
func (p *Peer) answer(to netip.AddrPort) {
	tag := make([]byte, 16)
	_, _ = rand.Read(tag) // never fails
	p.session.ForwardHello(p.session.Far().EPD().Append(nil), wire.Address{AddrPort: to, Origin: wire.OriginObserved}, tag)
}

func (p *Peer) requested(id flash.PeerID) error {
	return p.conn.Status("status", StatusRequested, "Another peer is to be met.",
		amf.Member{Name: "peerID", Value: amf.String(id.String())})
}
