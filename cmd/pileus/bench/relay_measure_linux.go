package bench

import (
	"errors"
	"fmt"
	"time"
)

const (
	warmTime    = 300 * time.Millisecond
	probeTime   = 300 * time.Millisecond // of the search
	confirmTime = 800 * time.Millisecond
	floodTime   = time.Second
	delayTime   = time.Second

	lossless = 0.005 // of the packets may be lost
	hopeless = 0.25  // more than other work on the machine costs
	// probes that a rate has. Somebody else's work on the core costs packets, and
	// never gives any.
	probes = 3
	// backOff from a rate that held for a probe, but not for longer.
	backOff  = 0.96
	backOffs = 10
	confirms = 2
	ownShare = 0.9 // of its lossless rate, at which a relay's CPU time is measured too
)

// valueTimes is what a note is made of.
const valueTimes = "offered then, of lossless"

func (c *contestant) add(name string, v float64, unit string) {
	c.values = append(c.values, Value{name, v, unit})
}

func (c *contestant) fly(rate int, d time.Duration) (flight, error) {
	f, err := c.bench.fly(c.ctx, c.load, rate, c.burst, d)
	if err == nil && f.received == 0 {
		err = errors.New("the relay delivers nothing")
	}
	return f, err
}

// warm has routes, caches and the relay's own pools filled.
func (c *contestant) warm() error {
	_, err := c.fly(firstRate/2, warmTime)
	return err
}

// search finds the highest rate without loss to speak of.
func (c *contestant) search() error {
	key := fmt.Sprintf("%s %d", c.target.name, c.burst)
	start, step := firstRate, float64(coarseStep)
	if found := c.bench.found[key]; found > 0 {
		start, step = found, fineStep
	}
	outrun := false
	rate, err := searchRate(start, step, func(rate int) (bool, error) {
		ok, err := c.holds(rate)
		if !ok {
			outrun = c.outrun // the last that does not hold is the lowest
		}
		return ok, err
	})
	if err != nil {
		return err
	}
	if outrun {
		c.bench.notes = append(c.bench.notes, fmt.Sprintf("bursts of %d, %s: the load could not offer more than this relay delivers: its lossless rate is higher", c.burst, c.target.name))
	}
	for range backOffs {
		var f flight
		for range confirms {
			if f, err = c.fly(rate, confirmTime); err != nil {
				return err
			}
			if f.lost() < lossless && !f.behind {
				break
			}
		}
		if f.lost() < lossless {
			c.bench.found[key], c.lossless = rate, f
			c.say("lossless %.0f/s", f.perSecond())
			c.add("lossless", f.perSecond(), "packets/s")
			return nil
		}
		rate = int(backOff * float64(rate))
		c.say("not for long: now %d/s", rate)
	}
	return errUnsteady
}

var errUnsteady = errors.New("no rate holds for long: is the machine busy with something else?")

func (c *contestant) holds(rate int) (bool, error) {
	c.outrun = true
	for range probes {
		f, err := c.fly(rate, probeTime)
		if err != nil {
			return false, err
		}
		c.say("%d/s: %.2f %% lost", rate, 100*f.lost())
		c.outrun = c.outrun && f.lost() < lossless
		if f.behind {
			c.say("the load itself came to %.0f/s of %d/s", f.offered(), rate)
		} else if f.lost() < lossless {
			return true, nil
		}
		if f.lost() > hopeless {
			break
		}
	}
	return false, nil
}

// flood offers twice what the relay can take.
func (c *contestant) flood() error {
	rate := c.lossless.perSecond()
	f, err := c.flyFlooded(int(2*rate), floodTime)
	if err != nil {
		return err
	}
	c.say("of %.0f/s offered, %.2f times as many, %.0f/s delivered: %.0f %% retained",
		f.offered(), f.offered()/rate, f.perSecond(), 100*f.perSecond()/rate)
	c.add("delivered at twice that", f.perSecond(), "packets/s")
	c.add("offered then", f.offered(), "packets/s")
	c.add(valueTimes, f.offered()/rate, "times")
	c.add("retained then, of lossless", 100*f.perSecond()/rate, "%")
	return nil
}

func (c *contestant) flyFlooded(rate int, d time.Duration) (flight, error) {
	if c.target.here {
		return c.fly(rate, d)
	}
	if err := c.bench.wires.flooded(true); err != nil {
		return flight{}, err
	}
	f, err := c.fly(rate, d)
	return f, errors.Join(err, c.bench.wires.flooded(false))
}

// ownPace is what a packet costs near what the relay can do.
func (c *contestant) ownPace() error {
	if c.server.pid == 0 {
		return nil
	}
	var samples []cost
	rate := int(ownShare * c.lossless.perSecond())
	for range probes {
		s, err := c.cost(rate, sliceTime)
		if err != nil {
			return err
		}
		samples = append(samples, s)
	}
	c.addCost("at 90 % of its own lossless", samples)
	resident, err := c.server.resident()
	if err != nil {
		return err
	}
	c.add("resident", float64(resident)/(1<<20), "MiB")
	return nil
}

// delays are of packets between ordinary sockets.
func (c *contestant) delays() error {
	rate := c.bench.cfg.Rate
	f, err := c.bench.fly(c.ctx, c.ordinary, rate, c.burst, delayTime)
	if err == nil && f.received == 0 {
		err = errors.New("the relay delivers nothing")
	}
	if err != nil {
		return err
	}
	name := "added"
	if c.target.here {
		name = "one way"
	}
	p50, p99 := f.quantile(0.5), f.quantile(0.99)
	if !c.target.here {
		direct := c.bench.direct[c.burst]
		p50 -= direct.quantile(0.5)
		p99 -= direct.quantile(0.99)
	}
	c.say("%s at %d/s: p50 %v, p99 %v", name, rate, p50.Round(time.Microsecond), p99.Round(time.Microsecond))
	c.add(fmt.Sprintf("%s p50 at %d/s", name, rate), float64(p50.Microseconds()), "µs")
	c.add(fmt.Sprintf("%s p99 at %d/s", name, rate), float64(p99.Microseconds()), "µs")
	return nil
}
