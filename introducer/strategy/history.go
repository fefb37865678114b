package strategy

import (
	"net/netip"
	"time"
)

// Outcome is what became of an introduction, as far as a node can know.
type Outcome uint8

const (
	Retried   Outcome = iota // asked for again with another tag: it failed
	Relayed                  // data went over the relay
	Succeeded                // as a peer or its application reported
	Failed                   // likewise
)

// forgetAfter is when what became of a pair says nothing about it any more.
const forgetAfter = 10 * time.Minute

// History is what became of one pair lately. The zero value is ready.
type History struct {
	failures          int
	at                time.Time
	initiator, target netip.AddrPort
}

// Note adds the outcome of a plan of strategy tried.
func (h *History) Note(o Outcome, tried Strategy, now time.Time, initiator, target netip.AddrPort) {
	failures := h.Failures(now, initiator, target)
	switch {
	case tried == Relay && (o == Retried || o == Failed):
		failures = min(failures, 1) // the relay does no better: back to both
	case tried == Relay:
		return // says nothing about direct ways
	case o == Succeeded:
		failures = 0
	default:
		failures++
	}
	*h = History{failures, now, initiator, target}
}

// Failures is how often in a row the pair failed to meet directly; none after ten
// minutes, or when one of them has another address.
func (h *History) Failures(now time.Time, initiator, target netip.AddrPort) int {
	if now.Sub(h.at) > forgetAfter || h.initiator != initiator || h.target != target {
		return 0
	}
	return h.failures
}
