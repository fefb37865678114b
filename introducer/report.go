package introducer

import (
	"time"

	"pileus/introducer/strategy"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
)

const codeNotIntroduced = "Pileus.Introduction.Unknown"

// reportedWithin is how long after an introduction peers may tell how it went.
const reportedWithin = 10 * time.Minute

// rpcReport: introduction.report(peerID, met [, {ms, address, text}]) → true. A
// peer that was introduced to another, as either side, tells how it went. Once
// for each introduction it counts for later plans; the details go into the log.
func (n *Node) rpcReport(p *Peer, args call) (amf.Value, *callError) {
	text, _ := args.String(0)
	id, err := flash.ParsePeerID(text)
	met, ok := args.At(1).(amf.Boolean)
	if err != nil || !ok {
		return nil, badArguments("introduction.report takes a peer ID, true or false, and optionally an object with details")
	}
	now := p.session.Engine().Now()
	s := n.pairs.latest(p.ID(), id)
	if s == nil || now.Sub(s.trial.at) > reportedWithin {
		return nil, &callError{codeNotIntroduced, "the two were not introduced lately"}
	}
	said := &s.trial.byTarget
	by := "target"
	if s.trial.initiator == p.ID() {
		said, by = &s.trial.byInitiator, "initiator"
	}
	if *said {
		return amf.Boolean(true), nil
	}
	*said = true
	outcome, counts := ReportedFailed, strategy.Failed
	if met {
		outcome, counts = ReportedMet, strategy.Succeeded
		s.trial.met = true
	}
	n.pairs.note(now, s, counts, n.peers)
	n.settle(now, s.trial, outcome, append([]any{"reported_by", by}, reportDetails(args)...)...)
	return amf.Boolean(true), nil
}

// reportDetails is what a log gets of a peer's details.
func reportDetails(args call) (list []any) {
	details, _ := args.Object(2)
	if ms := details.Number("ms"); ms > 0 {
		list = append(list, "reported_ms", int64(min(ms, 1e9)))
	}
	for _, name := range []string{"address", "text"} {
		if s := details.String(name); s != "" {
			list = append(list, "reported_"+name, clip(s))
		}
	}
	return list
}
