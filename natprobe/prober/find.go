package prober

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/report"
	"pileus/rtmfp/udp"
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
	// slow is a round trip worth a word.
	slow = time.Second
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
// preferred, and follows one that sends to another server (RFC 8489 section 10).
// Nothing of what it sends is seen by a later test: it has sockets of its own. With
// ErrNoAnswer, Found has what was tried, and what came.
func Find(ctx context.Context, c Config) (Found, error) {
	f := finder{runner: newRunner(c)}
	defer f.close()
	f.phase("whether the server answers")
	if err := f.prepare(ctx); err != nil {
		return Found{Run: report.Run{Server: c.Server}}, err
	}
	f.began = time.Now()
	err := f.roundUntil(ctx, f.enough, f.asks...)
	run := report.Run{Server: c.Server, Interrupted: ctx.Err() != nil}
	i := f.best()
	if i < 0 {
		if err == nil {
			err = ErrNoAnswer
			f.refusals(ctx)
		}
		f.keep(f.asks...)
		f.noteUnsent()
		run.Observations, run.Notes, run.Heard = f.record, f.notes, f.heard
		return Found{Run: run}, err
	}
	a := f.asks[i]
	for _, passed := range f.asks[:i] {
		if !passed.refused {
			f.notes = append(f.notes, fmt.Sprintf("%v did not answer in %.1f s", passed.to, time.Since(f.began).Seconds()))
		}
	}
	run.Server, run.RTT, run.Heard = a.to, a.rtt, f.heard
	if a.rtt >= slow {
		f.notes = append(f.notes, fmt.Sprintf("answers take %.1f s", a.rtt.Seconds()))
	}
	run.Notes = append(f.notes, oddities(a.answer)...)
	return Found{Run: run, Local: a.on.local, Seen: a.answer.Seen}, nil
}

// finder is the search for one.
type finder struct {
	*runner
	asks     []*ask // the best address first
	began    time.Time
	settles  time.Time // when no better one is waited for; zero: none answered yet
	followed int
}

// prepare opens a socket for each address. It fails if there is a way to none.
func (f *finder) prepare(ctx context.Context) error {
	var failed error
	for _, to := range append([]netip.AddrPort{f.config.Server}, f.config.Others...) {
		if f.knows(to) || len(f.asks) == maxFound {
			continue
		}
		conn, err := f.listenTo(ctx, to)
		if err != nil {
			if failed == nil {
				failed = err
			}
			continue
		}
		f.add(f.use(conn), to, time.Duration(len(f.asks))*findEvery)
	}
	if len(f.asks) == 0 {
		return failed
	}
	return nil
}

func (f *finder) listenTo(ctx context.Context, to netip.AddrPort) (net.PacketConn, error) {
	if f.config.Listen != nil {
		return f.config.Listen()
	}
	c := Config{Server: to}
	if err := c.listen(ctx); err != nil {
		return nil, err
	}
	return c.Listen()
}

func (f *finder) knows(to netip.AddrPort) bool {
	return slices.ContainsFunc(f.asks, func(a *ask) bool { return a.to == to })
}

func (f *finder) add(on *socket, to netip.AddrPort, after time.Duration) *ask {
	a := f.ask(natprobe.KindControlMapping, on, to, natprobe.MinTries)
	a.due = a.due.Add(after)
	a.grace = findGrace
	f.asks = append(f.asks, a)
	return a
}

// best is the index of the first address that answered, -1 if none did.
func (f *finder) best() int {
	return slices.IndexFunc(f.asks, func(a *ask) bool { return a.answered })
}

// enough reports whether no better address is to be waited for.
func (f *finder) enough() bool {
	f.follow()
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

// follow asks the servers that others send to.
func (f *finder) follow() {
	for _, a := range slices.Clone(f.asks) {
		to := a.answer.Alternate
		if a.answer.Code != codeTryAlternate || !to.IsValid() || f.knows(to) || f.followed == maxFollowed {
			continue
		}
		if why := unlike(to, a.to); why != "" {
			f.followed++
			f.notes = append(f.notes, fmt.Sprintf("%v sends its clients to %v, %s: it is not asked", a.to, to, why))
			continue
		}
		f.followed++
		f.notes = append(f.notes, fmt.Sprintf("%v sends its clients to %v (error 300)", a.to, to))
		f.added = append(f.added, f.add(a.on, to, 0))
	}
}

const (
	codeTryAlternate = 300
	// maxFollowed bounds what servers can have this host ask.
	maxFollowed = 3
)

// unlike says why a server that from names is not to be asked: anybody could otherwise
// have this host ask inside its own network.
func unlike(to, from netip.AddrPort) string {
	switch {
	case to.Addr().Is4() != from.Addr().Is4():
		return "of another address family"
	case !udp.SameReach(to.Addr(), from.Addr()):
		return "which is inside another network"
	}
	return ""
}

// noteUnsent says that it is this host which lets nothing out.
func (f *finder) noteUnsent() {
	if f.sent == 0 && f.sendError != nil {
		f.notes = append(f.notes, "this host lets nothing out: "+plain(f.sendError))
	}
}

// refusals asks who on the way refuses packets, once nothing else came.
func (f *finder) refusals(ctx context.Context) {
	refused := f.config.Refused
	switch {
	case len(f.heard) > 0:
		return
	case refused == nil && f.config.Listen == nil:
		refused = Refused
	case refused == nil:
		return
	}
	texts := make([]string, len(f.asks))
	by := make([]netip.Addr, len(f.asks))
	var work sync.WaitGroup
	for i, a := range f.asks {
		work.Go(func() { by[i], texts[i] = refused(ctx, a.to) })
	}
	work.Wait()
	for i, text := range texts {
		if text != "" {
			f.hear(packet{from: netip.AddrPortFrom(by[i], 0)}, report.HeardICMP, text)
		}
	}
}
