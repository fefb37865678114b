package bench

import (
	"context"
	"slices"
	"time"
)

// A carrier sends packets into a relay and takes what comes out of it.
type carrier interface {
	// begin has packets carry mark from now on, and only such counted.
	begin(mark uint64) error
	// send sends n bursts, each from the next lane, and returns how many packets
	// went.
	send(n int) int
	// poll is called between sends. What is lost if it waits is counted here.
	poll(*flight)
	// collect counts all that has come, and returns how much that is.
	collect(*flight) int
	// end says whether what came is what it should be.
	end(*flight) error
}

// A flight is what came of a load.
type flight struct {
	sent     int
	inTime   int // came while there was still some sent
	received int // or within grace after that
	took     time.Duration
	behind   bool // the load could not be sent as fast as it should
	delays   []time.Duration
}

func (f *flight) lost() float64 { return 1 - float64(f.received)/float64(max(1, f.sent)) }

// perSecond is what was delivered.
func (f *flight) perSecond() float64 { return float64(f.inTime) / f.took.Seconds() }

// offered is what was sent in a second.
func (f *flight) offered() float64 { return float64(f.sent) / f.took.Seconds() }

// quantile of delays, which it sorts.
func (f *flight) quantile(q float64) time.Duration {
	if len(f.delays) == 0 {
		return 0
	}
	slices.Sort(f.delays)
	return f.delays[int(q*float64(len(f.delays)-1))]
}

const (
	// turnSends is how many packets are sent before those that came are read.
	turnSends = 32
	// graceShare of a load's time is how long packets may be on their way when the
	// last was sent. Longer, and a relay's queues would hide what is too much.
	graceShare = 50
	// silence of a relay says that its queues are empty, which is awaited for at
	// most maxDrain.
	silence  = 50 * time.Millisecond
	maxDrain = 5 * time.Second
	// pause is longer than any turn takes.
	pause = 2 * time.Millisecond
	// keptUp is the share of its rate that a load must reach.
	keptUp = 0.97
)

// fly sends so many packets a second for d, burst of them from one lane before
// the next has its turn, and returns when the relay is silent.
func fly(ctx context.Context, c carrier, mark uint64, perSecond, burst int, d time.Duration) (f flight, err error) {
	if err := c.begin(mark); err != nil {
		return f, err
	}
	p := pace{start: time.Now(), perSecond: perSecond}
	began, now := p.start, p.start
	for now.Sub(began) < d {
		if err := ctx.Err(); err != nil {
			return f, err
		}
		if n := min(p.due(now), max(turnSends, burst)) / burst; n > 0 {
			f.sent += c.send(n)
			p.sent += n * burst
		}
		c.poll(&f)
		turned := time.Now()
		// Somebody else had the core: no heap of packets after it.
		if gap := turned.Sub(now); gap > pause {
			p.start = p.start.Add(gap)
		}
		now = turned
	}
	c.collect(&f)
	f.inTime = f.received
	f.took = now.Sub(began)
	f.behind = f.offered() < keptUp*float64(perSecond)
	for time.Since(now) < d/graceShare && f.received < f.sent {
		c.collect(&f)
	}
	var late flight
	for heard := time.Now(); time.Since(heard) < silence && time.Since(now) < maxDrain; {
		if c.collect(&late) > 0 {
			heard = time.Now()
		}
	}
	return f, c.end(&f)
}
