package limit

import (
	"math"
	"time"
)

// control is what the control loop keeps with a flow.
type control struct {
	from, to, tenant *account // nil: none
	last             Counts
	peak             float64 // bits per second
	greedy           bool    // something waits, or was dropped in the last step
	share            int     // in the allocator, this step
}

// Advance is a step of the control loop, to be called every Interval. It measures what flows did since
// the last and sets what they may do until the next. A flow with something waiting wants all there is,
// any other its recent peak; what those leave is free for who asks next.
func (c *Controller) Advance(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newDay(now)
	dt := min(now.Sub(c.last), maxStep)
	if c.last.IsZero() {
		dt = Interval
	}
	if dt <= 0 {
		return
	}
	c.last = now
	for _, p := range c.pairs {
		for i := range p.flows {
			d := c.measure(p, i)
			ctl := &p.flows[i].control
			rate := float64(8*d.Bytes) / dt.Seconds()
			ctl.peak = max(rate, ctl.peak*math.Pow(peakFade, dt.Seconds()/Interval.Seconds()))
			ctl.greedy = p.flows[i].waiting.Load() > 0 || d.Dropped() > 0
		}
	}
	c.divide(dt)
}

// newDay begins one, if it has. To go back to a day, as a clock does that is set right, begins nothing: what
// was used up stays so until the next midnight that it shows.
func (c *Controller) newDay(now time.Time) {
	if c.cfg.Wall != nil {
		now = c.cfg.Wall()
	}
	today, before := now.Unix()/day, c.day
	if c.day = today; today <= before {
		return
	}
	c.node.today = 0
	c.tenants.nextDay()
	c.peers.nextDay()
}

// measure books what the pair's i-th flow did since the last time.
func (c *Controller) measure(p *Pair, i int) Counts {
	f := &p.flows[i]
	counts := f.Counts()
	d := counts.since(f.control.last)
	if d == (Counts{}) {
		return d
	}
	f.control.last = counts
	bits := float64(8 * d.Bytes)
	c.node.book(p.kind, d)
	c.node.out.used += bits
	if t := p.tenant; t != nil {
		t.book(p.kind, d)
		t.out.used += bits
	}
	if a := p.peers[i]; a != nil {
		a.book(p.kind, d)
		a.out.used += bits
	}
	if a := p.peers[1-i]; a != nil {
		a.totals[p.kind].Received.add(d)
		a.today += d.Bytes
		a.in.used += bits
	}
	return d
}

func (a *account) book(kind Kind, d Counts) {
	a.totals[kind].Sent.add(d)
	a.today += d.Bytes
}

// divide sets the rates of all flows, dt after it last did.
func (c *Controller) divide(dt time.Duration) {
	c.step++
	c.alloc.reset()
	for f := range c.flows {
		for _, l := range c.sharedBy(f) {
			if l.rate != 0 && l.meter.step != c.step {
				l.meter.step = c.step
				l.meter.bound = c.alloc.bound(l.meter.settle(l.rate, dt))
			}
		}
	}
	for f := range c.flows {
		f.control.share = -1
		if f.control.greedy || f.control.peak >= minRate {
			f.control.share = c.alloc.share(c.want(f), c.bounds(f))
		}
	}
	c.alloc.fill()
	for f := range c.flows {
		rate := 0.
		if f.control.share >= 0 {
			rate = c.alloc.shares[f.control.share].got
		}
		if !f.control.greedy {
			rate = max(rate, c.newcomer(f))
		}
		c.setRate(f, rate)
	}
}

func (c *Controller) flows(yield func(*Flow) bool) {
	for _, p := range c.pairs {
		if !yield(p.Forward) || !yield(p.Backward) {
			return
		}
	}
}

// A sharedLimit is one that several flows may count against, with its meter.
type sharedLimit struct {
	rate  Rate // 0: none
	meter *meter
}

func (c *Controller) sharedBy(f *Flow) [maxUses]sharedLimit {
	l := [maxUses]sharedLimit{{c.cfg.Node, &c.node.out}}
	if a := f.control.tenant; a != nil {
		l[1] = sharedLimit{a.rate, &a.out}
	}
	if a := f.control.from; a != nil {
		l[2] = sharedLimit{c.cfg.Peer, &a.out}
	}
	if a := f.control.to; a != nil {
		l[3] = sharedLimit{c.cfg.Peer, &a.in}
	}
	return l
}

// bounds names the flow's limits to the allocator.
func (c *Controller) bounds(f *Flow) (uses [maxUses]int32) {
	for i, l := range c.sharedBy(f) {
		uses[i] = -1
		if l.rate != 0 && l.meter.step == c.step {
			uses[i] = l.meter.bound
		}
	}
	return uses
}

func (c *Controller) want(f *Flow) float64 {
	want := math.Inf(1)
	if !f.control.greedy {
		want = f.control.peak * headroom
	}
	if c.cfg.Splice != 0 {
		want = min(want, float64(c.cfg.Splice))
	}
	return want
}

// newcomer is what a flow may have that nothing is set aside for.
func (c *Controller) newcomer(f *Flow) float64 {
	got := c.alloc.newcomer(c.bounds(f))
	for _, l := range c.sharedBy(f) {
		if l.rate != 0 {
			got = min(got, float64(l.rate))
		}
	}
	return got
}

// setRate gives a flow what its shared limits leave it, at most its own limit.
func (c *Controller) setRate(f *Flow, rate float64) {
	if c.cfg.Splice != 0 {
		rate = min(rate, float64(c.cfg.Splice))
	}
	f.setRate(rate)
}
