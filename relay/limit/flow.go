package limit

import (
	"math"
	"sync/atomic"
	"time"
)

// A Flow is one direction of a pair. Offer, Push, Pop, Deadline and Discard belong to one goroutine at a
// time, its owner's; the control loop sets its rate and reads its counters from another.
type Flow struct {
	// cost is the time that a byte takes at the flow's rate, in nanoseconds times costUnit. 0: no limit.
	cost atomic.Uint64
	// tat is the theoretical arrival time of the generic cell rate algorithm, the bucket as one number:
	// a packet passes if now is at most a bucket's time before it. Nanoseconds since epoch.
	tat     int64
	tatCost uint64 // the cost that tat was reckoned with

	queue   queue
	drop    dropLaw
	backlog place

	// Written by the owner alone, read by anybody.
	bytes, packets, marks, waiting atomic.Uint64
	drops                          [numDropReasons]atomic.Uint64

	// Owner is whatever the owner wants to find with a flow that a Backlog returns. It is not used here.
	Owner any

	control control
}

const costUnit = 1 << 16

// epoch is what times are counted from: a step of the wall clock, which Unix time follows, would hold up
// a flow for as long as it is set back.
var epoch = time.Now()

func since(now time.Time) int64 { return int64(now.Sub(epoch)) }

// A Verdict is what is to become of a packet.
type Verdict uint8

const (
	Pass Verdict = iota // forward it, it has been counted
	Hold                // Push it
)

// Offer asks about a packet of ipBytes, at most 65,535. It is counted if it passes.
func (f *Flow) Offer(now time.Time, ipBytes int) Verdict {
	if cost := f.cost.Load(); cost != 0 {
		if f.queue.packets != 0 {
			return Hold
		}
		if !f.spend(since(now), cost, ipBytes) {
			return Hold
		}
	} else if f.queue.packets != 0 { // the limit went: what waits goes first
		return Hold
	}
	f.bytes.Add(uint64(ipBytes))
	f.packets.Add(1)
	return Pass
}

// bucket is how far ahead of its rate a flow may be.
func bucket(cost uint64) int64 { return max(int64(bucketTime), span(minBucket, cost)) }

// span is the time that n bytes take.
func span(n int, cost uint64) int64 { return int64(uint64(n) * cost / costUnit) }

// spend takes n bytes from the bucket, if it is not overdrawn.
func (f *Flow) spend(now int64, cost uint64, n int) bool {
	if f.tatCost == 0 {
		f.tat = now // nothing was sent so far
	}
	if cost != f.tatCost {
		// What was overdrawn is bytes; at the new rate they take another time.
		if ahead := f.tat - now; ahead > 0 && f.tatCost != 0 {
			f.tat = now + int64(float64(ahead)*float64(cost)/float64(f.tatCost))
		}
		f.tatCost = cost
	}
	if f.tat-now > bucket(cost) {
		return false
	}
	f.tat = max(f.tat, now) + span(n, cost)
	return true
}

// Push queues a packet that Offer would not let pass: data is copied, ecn is the low two bits of its TOS
// byte. Older packets may be dropped for it, and it may itself; drops are counted. While packets wait,
// Deadline tells when to Pop; a Backlog does so for many flows.
func (f *Flow) Push(now time.Time, data []byte, ipBytes int, ecn uint8) {
	if len(data) > MaxPacket {
		f.drops[DropOversize].Add(1)
		return
	}
	cost := f.cost.Load()
	for f.queue.packets == maxHeld ||
		f.queue.bytes+ipBytes > minHeld && span(f.queue.bytes+ipBytes, cost) > int64(maxDelay) {
		// From the head, as ever: who listens wants what is new, and learns of the loss sooner.
		f.queue.pop()
		f.drops[DropBound].Add(1)
	}
	f.queue.push(data, ipBytes, ecn)
	if ecn&ecnMask == notECT {
		f.react(since(now), cost)
	}
	f.waiting.Store(uint64(f.queue.bytes))
}

// react drops from the head of a queue of packets that cannot be marked.
func (f *Flow) react(now int64, cost uint64) {
	if !f.drop.due(now, f.late(cost)) {
		return
	}
	if f.queue.head().ecn&ecnMask == notECT {
		f.queue.pop()
		f.drops[DropHead].Add(1)
	}
}

// late reports whether the queue is one to speak of.
func (f *Flow) late(cost uint64) bool {
	return f.queue.bytes > minHeld && span(f.queue.bytes, cost) > int64(markDelay)
}

// Pop returns the next packet whose turn has come, with its ECN bits, which may now say CE. data is
// valid until the next call of Pop or Push.
func (f *Flow) Pop(now time.Time) (data []byte, ecn uint8, ok bool) {
	if f.queue.packets == 0 {
		return nil, 0, false
	}
	cost := f.cost.Load()
	late := f.late(cost)
	if !f.spend(since(now), cost, f.queue.head().size) {
		return nil, 0, false
	}
	p := f.queue.pop()
	f.bytes.Add(uint64(p.size))
	f.packets.Add(1)
	f.waiting.Store(uint64(f.queue.bytes))
	if late && p.ecn&ecnMask != notECT {
		if p.ecn&ecnMask != ce {
			f.marks.Add(1)
		}
		p.ecn |= ce
	}
	return p.data, p.ecn, true
}

// Deadline tells when the next packet may go, which is the zero Time if none waits. A change of the
// rate moves it.
func (f *Flow) Deadline() time.Time {
	if f.queue.packets == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(f.tat - bucket(f.cost.Load())))
}

// Discard drops what waits. A flow's owner calls it before it closes the pair.
func (f *Flow) Discard() {
	f.drops[DropClosed].Add(uint64(f.queue.packets))
	f.queue.discard()
	f.waiting.Store(0)
}

// Counts may be called from any goroutine.
func (f *Flow) Counts() Counts {
	c := Counts{Bytes: f.bytes.Load(), Packets: f.packets.Load(), Marks: f.marks.Load()}
	for r := range c.Drops {
		c.Drops[r] = f.drops[r].Load()
	}
	return c
}

// setRate is the control loop's. Infinity: no limit.
func (f *Flow) setRate(bitsPerSecond float64) {
	if math.IsInf(bitsPerSecond, 1) {
		f.cost.Store(0)
		return
	}
	f.cost.Store(uint64(8 * float64(time.Second) * costUnit / max(bitsPerSecond, minRate)))
}
