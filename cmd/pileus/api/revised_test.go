package api

import (
	"testing"

	"pileus/introducer"
	"pileus/introducer/strategy"
	"pileus/natprobe"
)

// What is told of an introduction follows its plan, and counts once; a question for a
// peer that is not here is a row of its own.
func TestRevisedIntroduction(t *testing.T) {
	r, all := NewRecorder(), scope{operator: true}
	a, b := introducer.PeerInfo{ID: peerID(1), Tenant: "x"}, introducer.PeerInfo{ID: peerID(2), Tenant: "x"}
	r.Record(introducer.Event{Kind: introducer.PeersIntroduced, At: began, Peer: a, Target: b, Plan: introducer.PlanInfo{Strategy: strategy.Punch, Why: "too little is known"}})
	r.Record(introducer.Event{Kind: introducer.PeerNotFound, At: began, Peer: a, Target: introducer.PeerInfo{ID: peerID(3), Tenant: "x"}, Reason: "unknown-peer"})
	a.Class, b.Class = natprobe.SymmetricRandom, natprobe.PortRestricted
	r.Record(introducer.Event{Kind: introducer.PlanRevised, At: began, Peer: a, Target: b, Plan: introducer.PlanInfo{Strategy: strategy.Relay, Sure: true, Why: "a port for each"}})
	r.Record(introducer.Event{Kind: introducer.PlanRevised, At: began, Peer: b, Target: a}) // of none that is remembered
	list := r.recent(all, "", 10)
	if len(list) != 2 {
		t.Fatalf("%d rows", len(list))
	}
	if v := list[0]; v.Event != "unknown-peer" || v.Plan != nil || v.Reason != "unknown-peer" || v.Target.ID != peerID(3).String() {
		t.Errorf("%+v", v)
	}
	if v := list[1]; v.Event != "introduced" || v.Plan.Strategy != "relay" || v.Plan.Reason != "a port for each" || v.Peer.Class != natprobe.SymmetricRandom {
		t.Errorf("%+v", v)
	}
	m := r.matrix(all)
	if len(m.Counts) != 1 || m.Counts[0] != (Count{Cell{"symmetric-random", "port-restricted", "relay"}, 1}) {
		t.Errorf("%+v", m.Counts)
	}
	r.Record(introducer.Event{Kind: introducer.IntroductionSettled, At: began, Peer: a, Target: b, Outcome: introducer.Relayed})
	if m := r.matrix(all); len(m.Outcomes) != 1 || m.Outcomes[0].Strategy != "relay" {
		t.Errorf("%+v", m.Outcomes)
	}
}
