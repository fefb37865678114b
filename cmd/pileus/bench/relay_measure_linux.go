package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	stepTime    = time.Second // of the search
	measureTime = 1500 * time.Millisecond

	lossless  = 0.005 // of the packets may be lost
	firstRate = 20_000
	maxRate   = 2_000_000
	bisects   = 5 // after doubling: to within 3 %
	tries     = 3
)

// A relayMeasurement is of one relay in one pattern.
type relayMeasurement struct {
	bench  *relayBench
	ctx    context.Context
	lanes  *lanes
	burst  int
	server process
	wired  bool // kernel threads receive for the relay
}

func (m *relayMeasurement) all() ([]Value, error) {
	// Routes, caches and the relay's own pools.
	if _, err := m.fly(firstRate/4, stepTime/2); err != nil {
		return nil, err
	}
	best, err := m.search()
	if err != nil {
		return nil, err
	}
	values := []Value{{"lossless", best.perSecond(), "packets/s"}}
	twice, err := m.flood(int(2 * best.perSecond()))
	if err != nil {
		return nil, err
	}
	values = append(values, Value{"at twice that", twice.perSecond(), "packets/s"})
	values = append(
		values,
		Value{"at twice that, of lossless", 100 * twice.perSecond() / best.perSecond(), "%"},
		Value{"twice, as far as the load came", float64(twice.sent) / twice.took.Seconds() / best.perSecond(), "times"},
	)
	m.say("lossless %.0f/s, at twice that %.0f/s", best.perSecond(), twice.perSecond())
	cost, err := m.cost(int(0.9 * best.perSecond()))
	if err != nil {
		return nil, err
	}
	values = append(values, cost...)
	delays, err := m.fly(m.bench.cfg.Rate, measureTime)
	if err != nil {
		return nil, err
	}
	for _, q := range []struct {
		name string
		q    float64
	}{{"added p50", 0.5}, {"added p99", 0.99}} {
		d := delays.quantile(q.q)
		name := q.name
		if m.wired {
			d -= m.bench.direct[m.burst].quantile(q.q)
		} else {
			name = "one way" + name[len("added"):]
		}
		values = append(values, Value{fmt.Sprintf("%s at %d/s", name, m.bench.cfg.Rate), float64(d.Microseconds()), "µs"})
	}
	return values, nil
}

// search finds the highest rate without loss to speak of.
func (m *relayMeasurement) search() (best flight, err error) {
	good, bad := 0, 0
	try := func(rate int) (bool, error) {
		// Somebody else's work on the core costs packets: a rate has another chance.
		for range tries {
			f, err := m.fly(rate, stepTime)
			if err != nil {
				return false, err
			}
			if !f.behind && f.lost() < lossless {
				best, good = f, rate
				return true, nil
			}
			if f.behind {
				m.say("the load itself came to %.0f/s of %d/s", float64(f.sent)/f.took.Seconds(), rate)
			}
		}
		return false, nil
	}
	for rate := firstRate; rate <= maxRate; rate *= 2 {
		ok, err := try(rate)
		if err != nil {
			return best, err
		}
		if !ok {
			bad = rate
			break
		}
	}
	if good == 0 {
		return best, fmt.Errorf("loss at %d packets a second already", firstRate)
	}
	for range bisects {
		middle := (good + bad) / 2
		ok, err := try(middle)
		if err != nil {
			return best, err
		}
		if !ok {
			bad = middle
		}
	}
	return best, nil
}

// flood is fly with more than the relay can take.
func (m *relayMeasurement) flood(rate int) (flight, error) {
	if !m.wired {
		return m.fly(rate, measureTime)
	}
	if err := m.bench.wires.flooded(true); err != nil {
		return flight{}, err
	}
	f, err := m.fly(rate, measureTime)
	return f, errors.Join(err, m.bench.wires.flooded(false))
}

func (m *relayMeasurement) fly(rate int, d time.Duration) (flight, error) {
	f, err := m.lanes.fly(m.ctx, rate, m.burst, d)
	if err == nil && f.received == 0 {
		err = errors.New("the relay delivers nothing")
	}
	return f, err
}

// cost is the CPU time of the relay, and of its kernel receiving for it.
func (m *relayMeasurement) cost(rate int) ([]Value, error) {
	if m.server.pid == 0 {
		return nil, nil
	}
	before, err := m.cpu()
	if err != nil {
		return nil, err
	}
	f, err := m.fly(rate, measureTime)
	if err != nil {
		return nil, err
	}
	after, err := m.cpu()
	if err != nil {
		return nil, err
	}
	resident, err := m.server.resident()
	if err != nil {
		return nil, err
	}
	perSecond := float64(f.received) / (after - before).Seconds()
	m.say("%.0f packets per CPU-second (at %d/s, %.2f %% lost)", perSecond, rate, 100*f.lost())
	return []Value{
		{"packets per CPU-second", perSecond, "1/s"},
		{"resident", float64(resident) / (1 << 20), "MiB"},
	}, nil
}

func (m *relayMeasurement) cpu() (time.Duration, error) {
	t, err := m.server.cpu()
	if err != nil || !m.wired {
		return t, err
	}
	kernel, err := m.bench.wires.kernelTime()
	return t + kernel, err
}

func (m *relayMeasurement) say(format string, args ...any) {
	fmt.Fprintf(m.bench.cfg.Progress, "  "+format+"\n", args...)
}
