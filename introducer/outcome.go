package introducer

import (
	"maps"
	"time"

	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/rtmfp/flash"
)

// Outcome is what became of an introduction, as far as a node can know that
// never sees what goes between peers. One introduction may have several: quiet,
// then reported.
type Outcome uint8

const (
	Quiet          Outcome = iota // not asked for again: they probably met
	AskedAgain                    // with the same tag, when a client does that
	Retried                       // asked for with another tag within two minutes: it failed
	Relayed                       // a relay carried it
	ReportedMet                   // a peer or its application says that they met
	ReportedFailed                // or that they did not
	Abandoned                     // one of the two left before anything could be told
	numOutcomes    = 7
)

var outcomeNames = [numOutcomes]string{"quiet", "asked-again", "retried", "relayed", "reported-met", "reported-failed", "abandoned"}

// String is the outcome as a label of metrics.
func (o Outcome) String() string { return outcomeNames[o] }

// OutcomeKey is what outcomes are counted by. All of it is from closed lists, so
// there are some thousand at most; those that occur are few.
type OutcomeKey struct {
	Strategy          strategy.Strategy
	Initiator, Target natprobe.Class
	Outcome           Outcome
}

// Outcomes is a copy of the counters of outcomes.
func (n *Node) Outcomes() map[OutcomeKey]uint64 { return maps.Clone(n.outcomes) }

// trial is one introduction of a pair, as it is remembered.
type trial struct {
	initiator, target     flash.PeerID
	anonymous             bool
	strategy              strategy.Strategy
	classes               [2]natprobe.Class // initiator's, target's
	tag                   string
	at                    time.Time
	settled               bool // its outcome is known
	met                   bool // reported so
	byInitiator, byTarget bool // who has reported

	account
}

// newTrial is the introduction that begins. A nil asker is anonymous.
func newTrial(now time.Time, asker, target *Peer, tag []byte, s strategy.Strategy) *trial {
	t := &trial{target: target.ID(), strategy: s, tag: string(tag), at: now}
	t.classes = [2]natprobe.Class{asker.class(), target.class()}
	if t.anonymous = asker == nil; !t.anonymous {
		t.initiator = asker.ID()
	}
	return t
}

// settle counts an outcome, and logs those that say something.
func (n *Node) settle(now time.Time, t *trial, o Outcome, more ...any) {
	t.settled = t.settled || o == Retried || o >= Relayed
	n.outcomes[OutcomeKey{t.strategy, t.classes[0], t.classes[1], o}]++
	n.emitOutcome(now, t, o)
	if o == Quiet || o == Abandoned {
		return
	}
	if !n.log.take(now, eventOutcome) {
		return
	}
	initiator := "anonymous"
	if !t.anonymous {
		initiator = t.initiator.String()
	}
	n.log.write(eventOutcome, append([]any{
		"initiator", initiator, "target", t.target.String(), "outcome", o.String(), "strategy", t.strategy.String(),
		"initiator_class", t.classes[0].String(), "target_class", t.classes[1].String(), "after_ms", now.Sub(t.at).Milliseconds(),
	}, more...)...)
}

// class is what is known of p's NAT; nothing of an anonymous initiator's.
func (p *Peer) class() natprobe.Class {
	if p == nil || p.behavior == nil {
		return natprobe.ClassUnknown
	}
	return p.behavior.Class()
}

// NoteRelayed notes that a relay carried so many bytes of IP packets between two
// peers, from the initiator and from the target, and why it ended. It is called
// on the engine's goroutine, when the relaying is over; the peers may be gone.
func (n *Node) NoteRelayed(now time.Time, initiator, target flash.PeerID, bytes [2]uint64, reason string) {
	s := n.pairs.of(initiator, target)
	if s == nil {
		return
	}
	if bytes[0] > 0 && bytes[1] > 0 {
		n.pairs.note(now, s, strategy.Relayed, n.peers)
		n.settle(now, s.trial, Relayed, "bytes_from_initiator", bytes[0], "bytes_from_target", bytes[1], "reason", reason)
	}
}
