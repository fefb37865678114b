package splice

import "time"

const (
	// unboundFor is how long a call may take from its order to its IIKeying, and
	// from there to the initiator's first packet: other clients repeat an IHello
	// or IIKeying after 1, 3.5, 7.5 and 13 s.
	unboundFor = 15 * time.Second
	// goneGrace is what is left of a splice when the NetConnection of one of its
	// peers has ended: the last packets, a Session Close among them.
	goneGrace = 2 * time.Second
	// restFor is how long a port means its last far end to an endpoint. Sessions
	// linger, and an address at which an endpoint has one takes no other far end
	// (RFC 7016 section 3.5.1.1.2).
	restFor = 10 * time.Minute
	// silentFor is how long a side's old source has been silent when a new one is
	// believed, and rebindEvery how often at most.
	silentFor   = 2 * time.Second
	rebindEvery = 10 * time.Second

	defaultIdle = time.Minute
)

// repeatAfter is when a startup packet is sent again, after it was sent first.
// Clients repeat after 1 s: under 10 % loss, that left 2 pairs of 12 waiting.
var repeatAfter = [...]time.Duration{
	200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond,
}

// leastAgain is how long a RIKeying takes to its initiator and back, at the least, for
// a further one to be let through.
const leastAgain = 100 * time.Millisecond

// withheldFor is how long the call that prevails of two that cross has for its IIKeying:
// some round trips, and less than the second after which clients repeat theirs.
const withheldFor = 700 * time.Millisecond

// PortBuffer is the receive buffer to ask for at a relay port, in bytes: some 110 full
// packets, since the kernel grants twice that and counts 2.3 kB for each, or 10 ms of one
// peer that sends 100 Mbit/s. Not more: what waits there is all delay when the relay is
// overloaded, and leaves the processor's caches meanwhile: see relay/BENCHMARKS.md.
const PortBuffer = 128 << 10

const (
	maxTag     = 128  // bytes; others' are 16
	maxStartup = 4352 // bytes of a startup packet: the longest that clients send in one datagram
	maxCookie  = 512  // bytes; 64 to 66 are used
	// maxCookies bounds the cookies that a call may be answered with: that of its RHello,
	// and one more, for a Cookie Change is honoured once.
	maxCookies = 2
	// maxCalls bounds the calls of one pair that are being set up: both may call at
	// once, and call again after a failure.
	maxCalls = 4
	// maxIDs bounds the session IDs that one side of a splice is known by. Sessions
	// replace each other; the oldest is forgotten first.
	maxIDs = 8
	// maxSharers bounds the pairs that one relay port may serve, live or resting,
	// when the range is short.
	maxSharers = 8
	// maxSearched is how many ports of a short range are looked at, in turn, for one
	// that can be shared: who comes in a burst must not cost a look at all of them.
	maxSearched = 64
	// maxReserved bounds the pairs that ports are named to and that have not come:
	// eight seconds of 1,000 introductions each. The oldest give way. It bounds, too,
	// those of which a startup packet has come, but no IIKeying.
	maxReserved = 1 << 13
	// maxRestricted bounds the peers that one socket of the engine relays, or did
	// within restFor.
	maxRestricted = 4096
)
