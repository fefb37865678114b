package introducer

import (
	"time"

	"pileus/introducer/strategy"
)

// yields is how long an introduction whose direct call crosses another waits for that.
//
// An endpoint knows a glare by the address of its opening session (RFC 7016 3.5.1.3).
// Behind a mapping that changes with the destination each call shows another
// address, so both ends open both sessions; then a RIKeying comes from where an IIKeying
// comes from, too, and ends the session that works. One session serves both calls: where
// it opens, what waits for the other is sent over it.
func (in *introduction) yields(p *strategy.Pair, plan *strategy.Plan, now time.Time) time.Duration {
	if in.asker == nil || plan.Strategy == strategy.Refuse || plan.Relay.Use == strategy.RelayOnly || p.GlareShows() {
		return 0
	}
	// Either has those that cross; somebody whom all want to meet has thousands.
	of := &in.target.introductions
	if in.asker.introductions.len() < of.len() {
		of = &in.asker.introductions
	}
	for other := range of.all {
		if other.target == in.asker && other.asker == in.target && other.decided() {
			return other.told.Add(p.OpenTime()).Sub(now)
		}
	}
	return 0
}
