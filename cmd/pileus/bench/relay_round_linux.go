package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A contestant is a relay in a round of one pattern. All of a round run at once,
// so that what is compared is measured in slices in turns; only one at a time is
// loaded.
type contestant struct {
	bench     *relayBench
	ctx       context.Context
	target    relayTarget
	burst     int
	near, far []int // sockets
	server    process
	ordinary  *lanes
	load      carrier // what rates and CPU time are measured with
	frames    *frames // that, unless it is ordinary
	lossless  flight
	outrun    bool // the last rate did not hold for the load alone
	values    []Value
	err       error
}

// round does all measurements of all targets in one pattern once.
func (b *relayBench) round(ctx context.Context, round int, p pattern, targets []relayTarget) error {
	fmt.Fprintf(b.cfg.Progress, "round %d of %d, %s; %v so far\n", round, b.cfg.Rounds, p.name, time.Since(b.began).Round(time.Second))
	all := make([]*contestant, len(targets))
	for i, t := range targets {
		c := &contestant{bench: b, ctx: ctx, target: t, burst: p.burst}
		all[i] = c
		defer c.close()
		c.do(c.open)
	}
	for _, phase := range []func(*contestant) error{(*contestant).warm, (*contestant).search, (*contestant).flood} {
		for _, c := range all {
			c.do(func() error { return phase(c) })
		}
	}
	b.compare(all, p.burst)
	for _, phase := range []func(*contestant) error{(*contestant).ownPace, (*contestant).delays} {
		for _, c := range all {
			c.do(func() error { return phase(c) })
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, c := range all {
		res := Result{Measurement: p.name, Server: c.target.name, Round: round, Values: c.values}
		if c.err != nil {
			res.Error = c.err.Error()
		}
		b.report.add(res)
		if b.cfg.JSON {
			if err := json.NewEncoder(b.cfg.Results).Encode(res); err != nil {
				return err
			}
		}
	}
	return nil
}

// do runs a phase, unless one before has failed.
func (c *contestant) do(phase func() error) {
	if c.err != nil || c.ctx.Err() != nil {
		return
	}
	if err := phase(); err != nil {
		if c.err = c.server.why(err); c.ctx.Err() == nil {
			c.say("failed: %v", c.err)
		}
	}
}

func (c *contestant) say(format string, args ...any) {
	fmt.Fprintf(c.bench.cfg.Progress, "  %s: "+format+"\n", append([]any{c.target.name}, args...)...)
}

func (c *contestant) close() {
	if c.ordinary != nil {
		c.ordinary.close()
	}
	if c.frames != nil {
		c.frames.close()
	}
	closeAll(c.near)
	closeAll(c.far)
	c.server.stop()
}

// open starts a fresh relay and opens the pairs, with ordinary sockets.
func (c *contestant) open() (err error) {
	b, t := c.bench, c.target
	near, far := "", ""
	nearAddr, farAddr := netip.MustParseAddr(nearIP), netip.MustParseAddr(farIP)
	wires := b.wires
	if t.here {
		wires = nil
		if nearAddr, err = sourceTo(t.server); err != nil {
			return err
		}
		farAddr = nearAddr
	} else {
		near, far = wires.namespace("near"), wires.namespace("far")
		if err := wires.carry(false); err != nil {
			return err
		}
	}
	if c.near, err = sockets(near, nearAddr, b.cfg.Pairs); err != nil {
		return err
	}
	if c.far, err = sockets(far, farAddr, b.cfg.Pairs); err != nil {
		return err
	}
	if _, known := b.direct[c.burst]; !known && !t.here {
		if b.direct[c.burst], err = b.flyDirect(c.ctx, c.near, c.far, c.burst); err != nil {
			return err
		}
	}
	all, err := c.start()
	if err != nil {
		return err
	}
	if c.ordinary, err = newLanes(all, b.cfg.Size, c.burst, wires); err != nil {
		return err
	}
	if t.here {
		c.load = c.ordinary
		return nil
	}
	c.frames, err = newFrames(all, b.cfg.Size, c.burst, wires)
	c.load = c.frames
	return err
}

// start runs the relay, unless it runs, and opens the pairs.
func (c *contestant) start() (all []lane, err error) {
	t := c.target
	command := "ip netns exec " + c.bench.namespaceOf(t) + " " + t.command
	switch {
	case t.splice:
		c.server, all, err = startSplices(c.ctx, command, c.near, c.far)
		return all, err
	case t.here:
		c.server.pid = t.pid
	default:
		if c.server, err = start(c.ctx, command); err != nil {
			return nil, err
		}
	}
	return turnLanes(c.near, c.far, t.server, t.user, t.secret, c.bench.cfg.Size)
}

func (b *relayBench) namespaceOf(t relayTarget) string {
	if t.here {
		return ""
	}
	return b.wires.namespace("relay")
}

const (
	sliceTime  = 400 * time.Millisecond
	slicesEach = 6 // of each relay in a round
	// steadyShare of what the slowest relay delivers without loss is a rate that
	// all keep up with, also while something else has some of the core.
	steadyShare = 0.7
)

// compare measures what a packet costs at one rate for all, in short slices in
// turns, so that what else the machine does meets all alike. The rate stays that
// of the first round.
func (b *relayBench) compare(all []*contestant, burst int) {
	all = slices.DeleteFunc(slices.Clone(all), func(c *contestant) bool { return c.err != nil || c.server.pid == 0 })
	if len(all) == 0 {
		return
	}
	if b.steady[burst] == 0 {
		slowest := all[0].lossless.perSecond()
		for _, c := range all {
			slowest = min(slowest, c.lossless.perSecond())
		}
		b.steady[burst] = int(steadyShare*slowest) / 1000 * 1000
	}
	rate := max(minRate, b.steady[burst])
	samples := make([][]cost, len(all))
	for i := range slicesEach {
		for j := range all {
			if i%2 == 1 {
				j = len(all) - 1 - j // A B C C B A: a drift meets all alike too
			}
			all[j].do(func() error {
				s, err := all[j].cost(rate, sliceTime)
				if err == nil {
					samples[j] = append(samples[j], s)
				}
				return err
			})
		}
	}
	for j, c := range all {
		if len(samples[j]) < slicesEach {
			continue
		}
		c.addCost(fmt.Sprintf("at %d/s", rate), samples[j])
		if len(samples[0]) == slicesEach && len(all) > 1 {
			c.add("packets per CPU-second there, slice by slice", 100*middle(samples[j], func(i int, s cost) float64 {
				return s.perSecond() / samples[0][i].perSecond()
			}), "% of "+all[0].target.name)
		}
	}
}

// addCost adds medians of slices.
func (c *contestant) addCost(where string, slices []cost) {
	perSecond := middle(slices, func(_ int, s cost) float64 { return s.perSecond() })
	kernel := middle(slices, func(_ int, s cost) float64 { return 100 * s.kernel.Seconds() / s.cpu.Seconds() })
	lost := middle(slices, func(_ int, s cost) float64 { return 100 * s.flight.lost() })
	c.say("%.0f packets per CPU-second %s, %.0f %% of the time in the kernel's threads, %.2f %% lost", perSecond, where, kernel, lost)
	c.add("packets per CPU-second "+where, perSecond, "1/s")
	c.add("in the kernel's threads "+where, kernel, "% of CPU")
	c.add("lost "+where, lost, "%")
}

// middle is the median of a figure of each slice.
func middle(samples []cost, figure func(int, cost) float64) float64 {
	all := make([]float64, len(samples))
	for i, s := range samples {
		all[i] = figure(i, s)
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// A cost is the CPU time of a relay, and of its kernel receiving for it.
type cost struct {
	flight flight
	cpu    time.Duration
	kernel time.Duration // of that, threads that receive
}

func (c cost) perSecond() float64 { return float64(c.flight.received) / c.cpu.Seconds() }

// cost is measured from silence to silence: the kernel adds to a thread's time
// when it sleeps.
func (c *contestant) cost(rate int, d time.Duration) (cost, error) {
	own, kernel, err := c.cpu()
	if err != nil {
		return cost{}, err
	}
	f, err := c.fly(rate, d)
	if err != nil {
		return cost{}, err
	}
	ownAfter, kernelAfter, err := c.cpu()
	if err == nil && ownAfter <= own {
		err = errors.New("no CPU time: is that the relay's process?")
	}
	return cost{f, ownAfter - own + kernelAfter - kernel, kernelAfter - kernel}, err
}

func (c *contestant) cpu() (own, kernel time.Duration, err error) {
	if own, err = c.server.cpu(); err != nil || c.target.here {
		return own, 0, err
	}
	kernel, err = c.bench.wires.kernelTime()
	return own, kernel, err
}
