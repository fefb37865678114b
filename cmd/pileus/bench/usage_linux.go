package bench

import "time"

// usage is what the server had used at an instant.
type usage struct {
	known    bool // false without a process ID
	at       time.Time
	cpu      time.Duration
	resident int
}

// spent is the difference between two instants.
type spent struct {
	known    bool
	time     time.Duration
	cpu      time.Duration
	resident int // bytes, may be negative
}

func (l *load) usage() (usage, error) {
	u := usage{known: l.server.pid != 0, at: time.Now()}
	if !u.known {
		return u, nil
	}
	var err error
	if u.cpu, err = l.server.cpu(); err != nil {
		return u, err
	}
	u.resident, err = l.server.resident()
	return u, err
}

// since returns what has been used since u.
func (l *load) since(u usage) (spent, error) {
	v, err := l.usage()
	return v.since(u), err
}

func (u usage) since(before usage) spent {
	return spent{
		known:    u.known,
		time:     u.at.Sub(before.at),
		cpu:      u.cpu - before.cpu,
		resident: u.resident - before.resident,
	}
}

// each returns the CPU time for each of n events.
func (s spent) each(name string, n int) []Value {
	if !s.known || n == 0 {
		return nil
	}
	return []Value{{name, float64(s.cpu.Microseconds()) / float64(n), "µs"}}
}

// core returns the share of a core.
func (s spent) core() []Value {
	if !s.known {
		return nil
	}
	return []Value{{"cpu", 100 * s.cpu.Seconds() / s.time.Seconds(), "% core"}}
}

// memory returns the growth of resident memory for each of n things.
func (s spent) memory(name string, n int, unit string, bytes float64) []Value {
	if !s.known || n == 0 {
		return nil
	}
	return []Value{{name, float64(s.resident) / float64(n) / bytes, unit}}
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(of) }
