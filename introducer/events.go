package introducer

import (
	"net/netip"
	"time"

	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// EventKind is what happened.
type EventKind uint8

const (
	PeerConnected EventKind = iota
	PeerClassified
	PeersIntroduced
	PlanRevised  // of two that were introduced: more is known of them
	PeerNotFound // a peer asked for one that is not here
	PairRelayed  // a relayed pair ended
	IntroductionSettled
	PeerClosed
	NameChanged
)

var eventKindNames = [...]string{"connect", "classified", "introduced", "revised", "unknown-peer", "relayed", "outcome", "closed", "name"}

// String is the kind's name outside: in hooks, in the API, in logs.
func (k EventKind) String() string { return eventKindNames[k] }

// Event is something that happened, complete in itself: it may be kept and
// passed to other goroutines, which must not change it.
type Event struct {
	Kind EventKind
	At   time.Time
	Peer PeerInfo // of an introduction or a relayed pair, the initiator

	Connect  *netconn.Request   // of PeerConnected
	Behavior *natprobe.Behavior // of PeerClassified
	Target   PeerInfo           // of what is about two peers
	Plan     PlanInfo           // of PeersIntroduced and PlanRevised
	Outcome  Outcome            // of IntroductionSettled
	// Bytes is, of PairRelayed, the IP bytes from the initiator and from the
	// target; of PeerClosed, the UDP payload received from the peer and sent to it.
	Bytes  [2]uint64
	Reason string // of PeerClosed and PairRelayed
	Name   string // of NameChanged
	Change Change // of NameChanged
}

// Change is what happened to a name.
type Change string

const (
	NameCame   Change = "came"
	NamePassed Change = "changed" // to another session, which is the event's Peer
	NameWent   Change = "went"
)

// PlanInfo is how two peers were told to meet.
type PlanInfo struct {
	Strategy strategy.Strategy
	Sure     bool
	Relay    strategy.Use
	Why      string
}

// PeerInfo is who a peer is. An anonymous initiator has an address only.
type PeerInfo struct {
	ID     flash.PeerID
	Tenant string
	App    string
	Name   string
	Addr   netip.AddrPort
	Local  netip.AddrPort // the node's address that it speaks to, as bound
	Since  time.Time
	Class  natprobe.Class
}

// Info is p at this instant.
func (p *Peer) Info() PeerInfo {
	i := PeerInfo{ID: p.ID(), Tenant: p.tenant, App: p.app, Addr: p.Addr(), Local: p.session.Local(), Since: p.since}
	if len(p.names) > 0 {
		i.Name = p.names[0]
	}
	if p.behavior != nil {
		i.Class = p.behavior.Class()
	}
	return i
}

// emit passes an event on.
func (n *Node) emit(e Event) {
	if n.cfg.Observe != nil {
		n.cfg.Observe(e)
	}
}

func planInfo(p *strategy.Plan) PlanInfo { return PlanInfo{p.Strategy, p.Sure, p.Relay.Use, p.Why} }

// emitPlan is emit for a plan. A nil asker is anonymous.
func (n *Node) emitPlan(kind EventKind, now time.Time, asker, target *Peer, from netip.AddrPort, plan PlanInfo) {
	if n.cfg.Observe == nil {
		return
	}
	initiator := PeerInfo{Addr: from}
	if asker != nil {
		initiator = asker.Info()
	}
	n.emit(Event{Kind: kind, At: now, Peer: initiator, Target: target.Info(), Plan: plan})
}

// pairInfo is who two peers are, as far as they are still here.
func (n *Node) pairInfo(initiator, target flash.PeerID) (a, b PeerInfo) {
	a, b = PeerInfo{ID: initiator}, PeerInfo{ID: target}
	if p := n.peers[initiator]; p != nil {
		a = p.Info()
		b.Tenant = a.Tenant
	}
	if p := n.peers[target]; p != nil {
		b = p.Info()
	}
	return a, b
}

func (n *Node) emitOutcome(now time.Time, t *trial, o Outcome) {
	if n.cfg.Observe == nil {
		return
	}
	a, b := n.pairInfo(t.initiator, t.target)
	n.emit(Event{Kind: IntroductionSettled, At: now, Peer: a, Target: b, Outcome: o})
}
