package limit

import "time"

// The queue of a flow over its limit.
const (
	// markDelay is the time a queue takes to drain above which it says so, by CE marks or by drops.
	markDelay = 30 * time.Millisecond
	// maxDelay is the same time above which nothing more is held: media that late is of no use.
	maxDelay = 200 * time.Millisecond
	// minHeld (bytes) may always wait, however slow the flow: five or six full packets, fewer than which
	// no congestion window works with.
	minHeld = 8 << 10
	// maxHeld (packets) bounds what one flow keeps where maxDelay is much at a high rate: 4 MiB.
	maxHeld = 2048
	// dropInterval is how long a flow that knows no ECN is given to react to a drop, as in CoDel
	// (RFC 8289 4.2): a round-trip time of most paths.
	dropInterval = 100 * time.Millisecond
	// MaxPacket (bytes) is the longest payload that is held: more than any Ethernet brings.
	MaxPacket = 2048
)

// The bucket of a flow holds as many bytes as its rate gives in bucketTime, which is more than a
// driver's timer may be late, and at least minBucket: two full packets.
const (
	bucketTime = 10 * time.Millisecond
	minBucket  = 3000
)

// minRate is what a limit or share below it counts as, so that no arithmetic overflows and each packet
// has an end to its wait.
const minRate = 1000

// What the control loop takes for a flow's need that has nothing waiting: its recent peak and some
// headroom. The peak fades within half a second; video frames come at less than that.
const (
	peakFade    = 0.8 // for each Interval
	headroom    = 1.25
	maxOverused = 4 * Interval  // of a shared limit's time that is paid back
	payback     = 2 * Interval  // in which it is paid back
	maxStep     = 20 * Interval // a longer pause of the loop counts as this
	day         = 24 * 60 * 60  // seconds
)

const (
	// maxParties bounds the peers, and the tenants, that are remembered: those without an open pair
	// keep their day's bytes and totals until the day ends or their place is needed. About 700 bytes
	// each.
	maxParties = 16 << 10
	// evictSample parties are compared for who has to leave: the one with the fewest bytes.
	evictSample = 16
)
