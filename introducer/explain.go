package introducer

import (
	"net/netip"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
)

// account is what the two of an introduction may be told of it.
type account struct {
	why    string
	relays [2]netip.AddrPort // at which the initiator, and the target, finds the other; zero: no relay
}

// explain keeps the account of the plan as it is now.
func (in *introduction) explain() {
	in.trial.account = account{in.plan.Why, in.relays}
}

// rpcExplain: introduction.explain(peerID) → {strategy, reason, initiator, relay}.
// One of two that were introduced lately asks how they were to meet; whether it is
// the initiator; and where a relay stands for the other, null if none does. Who
// meets the other at that address is relayed.
func (n *Node) rpcExplain(p *Peer, args call) (amf.Value, *callError) {
	text, _ := args.String(0)
	id, err := flash.ParsePeerID(text)
	if err != nil {
		return nil, badArguments("introduction.explain takes a peer ID")
	}
	s := n.pairs.latest(p.ID(), id)
	if s == nil || p.session.Engine().Now().Sub(s.trial.at) > reportedWithin {
		return nil, &callError{codeNotIntroduced, "the two were not introduced lately"}
	}
	initiator := s.trial.initiator == p.ID()
	at := s.trial.relays[1]
	if initiator {
		at = s.trial.relays[0]
	}
	relay := amf.Value(amf.Null{})
	if at.IsValid() {
		relay = amf.String(at.String())
	}
	return amf.Object{
		{Name: "strategy", Value: amf.String(s.trial.strategy.String())},
		{Name: "reason", Value: amf.String(s.trial.why)},
		{Name: "initiator", Value: amf.Boolean(initiator)},
		{Name: "relay", Value: relay},
	}, nil
}
