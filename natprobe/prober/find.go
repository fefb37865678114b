package prober

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/report"
)

const (
	// findEvery is between the first questions to two addresses (RFC 8305 section 5:
	// "One recommended value for a default delay is 250 milliseconds").
	findEvery = 250 * time.Millisecond
	// findSettle is how long a better address may still answer once one has.
	findSettle = 300 * time.Millisecond
	// findGrace is how late an answer may come and be one: much of what looks like no
	// UDP is a long queue.
	findGrace = 3 * time.Second
	// maxFound bounds the addresses that are asked, each from a socket of its own.
	maxFound = 16
)

// Found is where a server answers.
type Found struct {
	// Run is of the address that answers, without observations: those of its sockets
	// say nothing about others. Where none answers, Run has the attempts.
	Run report.Run

	Local, Seen netip.AddrPort // of the socket that was answered
}

// Find asks c.Server and c.Others until one of them answers, the first of them
// preferred. Nothing of what it sends is seen by a later test: it has sockets of its
// own. With ErrNoAnswer, Found has what was tried.
func Find(ctx context.Context, c Config) (Found, error) {
	f := finder{runner: newRunner(c)}
	defer f.close()
	f.phase("whether the server answers")
	if err := f.prepare(ctx); err != nil {
		return Found{Run: report.Run{Server: c.Server}}, err
	}
	f.began = time.Now()
	err := f.roundUntil(ctx, f.enough, f.asks...)
	i := f.best()
	if i < 0 {
		f.keep(f.asks...)
		if err == nil {
			err = ErrNoAnswer
		}
		return Found{Run: report.Run{Server: c.Server, Observations: f.record, Notes: f.notes, Interrupted: ctx.Err() != nil}}, err
	}
	for _, a := range f.asks[:i] {
		f.notes = append(f.notes, fmt.Sprintf("%v did not answer in %.1f s", a.to, time.Since(f.began).Seconds()))
	}
	a := f.asks[i]
	return Found{Run: report.Run{Server: a.to, Notes: f.notes}, Local: a.on.local, Seen: a.answer.Seen}, nil
}

// finder is the search for one.
type finder struct {
	*runner
	asks    []*ask // the best address first
	began   time.Time
	settles time.Time // when no better one is waited for; zero: none answered yet
}

// prepare opens a socket for each address. It fails if there is a way to none.
func (f *finder) prepare(ctx context.Context) error {
	var failed error
	for _, to := range append([]netip.AddrPort{f.config.Server}, f.config.Others...) {
		if slices.ContainsFunc(f.asks, func(a *ask) bool { return a.to == to }) || len(f.asks) == maxFound {
			continue
		}
		listen := f.config.Listen
		if listen == nil {
			c := Config{Server: to}
			if err := c.listen(ctx); err != nil {
				if failed == nil {
					failed = err
				}
				continue
			}
			listen = c.Listen
		}
		conn, err := listen()
		if err != nil {
			if failed == nil {
				failed = err
			}
			continue
		}
		a := f.ask(natprobe.KindControlMapping, f.use(conn), to, natprobe.MinTries)
		a.due = a.due.Add(time.Duration(len(f.asks)) * findEvery)
		a.grace = findGrace
		f.asks = append(f.asks, a)
	}
	if len(f.asks) == 0 {
		return failed
	}
	return nil
}

// best is the index of the first address that answered, -1 if none did.
func (f *finder) best() int {
	return slices.IndexFunc(f.asks, func(a *ask) bool { return a.answered })
}

// enough reports whether no better address is to be waited for.
func (f *finder) enough() bool {
	i := f.best()
	if i < 0 {
		return false
	}
	if f.settles.IsZero() {
		f.settles = time.Now().Add(findSettle)
	}
	better := f.asks[:i]
	return !slices.ContainsFunc(better, func(a *ask) bool { return !a.finished }) || !time.Now().Before(f.settles)
}
