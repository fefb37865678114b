package strategy

import (
	"time"

	"pileus/natprobe"
)

// KeepaliveRelayed is after which silence a peer that is relayed sends something.
// Clients take no shorter period.
const KeepaliveRelayed = 5 * time.Second

const (
	keepaliveNAT    = 10 * time.Second
	keepaliveNode   = 15 * time.Second
	keepalivePublic = 30 * time.Second
)

// Keepalive is after which silence a client of behaviour b sends something, to the
// node and to its peers. Many NATs forget a mapping after 30 s, one that saw a
// single answer even sooner; and whose mapping towards the node is forgotten, it
// cannot be introduced. Where a relay is likely, it must hear of a new source
// before its peer misses anything.
func Keepalive(b natprobe.Behavior) (node, peer time.Duration) {
	nothingToKeep, likelyRelayed := b.Public.Answer == natprobe.Yes, true
	kindsOf(&b).each(func(number int) {
		k := &kindNumber[number]
		nothingToKeep = nothingToKeep && k.open()
		likelyRelayed = likelyRelayed && (k.blocked || k.dependent && !k.steps)
	})
	switch {
	case nothingToKeep:
		return keepalivePublic, keepalivePublic
	case likelyRelayed:
		return keepaliveNode, KeepaliveRelayed
	}
	return keepaliveNode, keepaliveNAT
}

// Spacing is the time between candidates whose order counts. Clients read all waiting
// packets in one turn, in which time stands still, and try what is due at one time in
// the order of a heap.
const Spacing = 8 * time.Millisecond

const (
	// leastRelayHold: held for 50 to 300 ms, direct packets won every time; unheld,
	// beside a near relay, every other time.
	leastRelayHold = 100 * time.Millisecond
	mostRelayHold  = 600 * time.Millisecond
)

// relayHold is how long a relay beside direct addresses keeps the first RHello back.
// Relayed, it travels both sides' ways to the node; direct, it may take as long: a
// constant would prefer relays near by, and direct ways far off.
func (p *Pair) relayHold() time.Duration {
	return min(max(p.Initiator.RTT+p.Target.RTT, leastRelayHold), mostRelayHold)
}

const (
	leastHold = 300 * time.Millisecond
	holdSlack = 150 * time.Millisecond
	mostHold  = 1200 * time.Millisecond
)

// Hold is how long the first answer to a pair that is not [Pair.Ripe] may wait. Three
// round trips bring all that it waits for, if nothing is lost; an initiator asks again
// after a second.
func (p *Pair) Hold() time.Duration {
	return min(max(3*max(p.Initiator.RTT, p.Target.RTT)+holdSlack, leastHold), mostHold)
}

const (
	unknownRTT = 100 * time.Millisecond
	mostOpen   = 2 * time.Second
)

// OpenTime is how long a call may take to open a session without the relay: by a Redirect,
// an RHello, a Cookie Change where a port has changed, and a RIKeying, some of
// which are lost or late; over a way that takes no longer than by the node.
func (p *Pair) OpenTime() time.Duration {
	sum := time.Duration(0)
	for _, s := range []*Side{&p.Initiator, &p.Target} {
		if s.RTT > 0 {
			sum += s.RTT
		} else {
			sum += unknownRTT
		}
	}
	return min(4*sum+usualPace, mostOpen)
}

// GlareShows reports whether both ends see two direct calls that cross at one
// address: neither's port changes with the destination.
func (p *Pair) GlareShows() bool { return p.Initiator.keepsPort() && p.Target.keepsPort() }

// Pace is how the node repeats Redirects and FIHellos by itself: Times more, the
// first after First, each after Interval.
type Pace struct {
	First, Interval time.Duration
	Times           int
}

const (
	usualPace = 100 * time.Millisecond // without a measured RTT
	leastPace = 60 * time.Millisecond
	mostPace  = 400 * time.Millisecond

	// mostTimes: of three FIHellos and RHellos at 10 % loss, all are lost once in
	// 150 introductions. Each costs the node and the target as much as the first.
	mostTimes   = 2
	steadyTimes = 1  // where neither side was seen to lose anything
	mostRepeats = 32 // of Redirects, and of FIHellos
)

// pace repeats named addresses at about the time after which only a loss explains
// that nothing came of them. Who asks without a session may have forged the source
// of its question: it gets one answer.
func (p *Pair) pace(named int, ordered bool) Pace {
	if p.Initiator.Anonymous {
		return Pace{}
	}
	each := usualPace
	if rtt := max(p.Initiator.RTT, p.Target.RTT); rtt > 0 {
		each = min(max(rtt*3/2, leastPace), mostPace)
	}
	if ordered { // those that leave one by one, and a relay's
		each += time.Duration(named+1) * Spacing
	}
	times := mostTimes
	if p.Initiator.Steady && p.Target.Steady && p.Failures == 0 {
		times = steadyTimes
	}
	return Pace{First: each, Interval: each, Times: min(times, mostRepeats/max(named, 1))}
}
