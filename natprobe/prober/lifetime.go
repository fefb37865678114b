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

// The lifetime of mappings is seen as RFC 5780 section 4.6 has it: a second socket
// asks the server to answer to the first one's port. Each mapping is asked once, so
// that no question prolongs what the next one measures: many sockets rest for times
// that grow by a tenth, all at once. A bracket is therefore a tenth wide, and the
// test takes little longer than the lifetime.
const (
	firstRest  = 4 * time.Second
	restGrowth = 1.1

	// usedFor is what makes a mapping a used one: Linux lets those live longer that
	// had traffic both ways for more than two seconds.
	usedFor       = 2400 * time.Millisecond
	usedExchanges = 4

	checkTries = 4
	checkEvery = 200 * time.Millisecond
	// enoughDead in a row end the search: one alone may be bad luck.
	enoughDead = 3

	// A mapping that was heard of at a share of between refreshLow and refreshHigh of
	// the lifetime is asked again refreshAgain later: alive only if hearing
	// prolonged it.
	refreshLow, refreshHigh = 0.5, 0.9
	refreshAgain            = 0.85
	maxRefreshed            = 4
)

// lifetime measures fresh and used mappings at the same time.
func (d *depth) lifetime(ctx context.Context) {
	if d.Lifetime < firstRest {
		return
	}
	if d.Behavior.Public.Answer == natprobe.Yes && d.Behavior.Filtering == natprobe.EIF {
		d.note("lifetime: there is no NAT and no filter, so there is nothing that ends")
		return
	}
	l := lifetimeTest{depth: d, runner: d.runner()}
	defer l.close()
	result, why := l.run(ctx)
	if why != "" {
		d.note("lifetime: " + why)
	}
	if result != nil {
		d.set(func(out *report.Depth) { out.Lifetime = result })
	}
}

type lifetimeTest struct {
	*depth
	*runner
	asker  *socket
	from   netip.Addr // where the asker is seen
	rests  []*rest
	again  []*ask // of mappings that heard something; nil until the lifetime is known
	asked  bool   // whether again was chosen
	phased time.Time
}

// rest is a mapping that is left alone, then asked.
type rest struct {
	on    *socket
	seen  netip.AddrPort
	used  bool
	since time.Time // its last packet
	wait  time.Duration
	check *ask
}

func (r *rest) alive() bool { return r.check.answered }
func (r *rest) dead() bool  { return r.check.finished && !r.check.answered }

func (l *lifetimeTest) run(ctx context.Context) (*report.Lifetime, string) {
	if why := l.prepare(ctx); why != "" {
		return nil, why
	}
	if err := l.lay(ctx); err != nil {
		return nil, "interrupted before a mapping had rested"
	}
	asks := make([]*ask, 0, len(l.rests))
	for _, r := range l.rests {
		r.check = l.checkOf(r, r.since.Add(r.wait))
		asks = append(asks, r.check)
	}
	_ = l.roundUntil(ctx, l.enough, asks...) // an end of ctx leaves a wider bracket
	result := &report.Lifetime{Limit: l.Lifetime.Seconds(), Fresh: l.span(false), Used: l.span(true)}
	if result.Fresh.Checks+result.Used.Checks == 0 {
		return nil, "interrupted before a mapping had rested"
	}
	if ctx.Err() == nil && !l.hears(ctx) {
		return nil, "the server stopped answering to other ports"
	}
	result.InboundRefresh = l.refreshed()
	return result, ""
}

// prepare finds out whether the server answers to another port when asked to, and
// whether that comes in at all.
func (l *lifetimeTest) prepare(ctx context.Context) string {
	var err error
	if l.asker, err = l.open(); err != nil {
		return err.Error()
	}
	a := l.filled(l.asker, l.Server, natprobe.MinTries)
	if l.round(ctx, a) != nil || !a.answered {
		return "the server does not answer"
	}
	l.from = a.answer.Seen.Addr()
	if !l.hears(ctx) {
		return "the server does not answer to other ports (RESPONSE-PORT, RFC 5780): nobody can tell"
	}
	return ""
}

// hears tries it with a new mapping.
func (l *lifetimeTest) hears(ctx context.Context) bool {
	r := l.opened(ctx, 1)
	if len(r) == 0 {
		return false
	}
	check := l.checkOf(r[0], time.Now())
	check.limit = natprobe.MinTries
	return l.round(ctx, check) == nil && check.answered
}

// opened makes n mappings, and returns those that were seen where the asker is:
// answers can be sent to no other address.
func (l *lifetimeTest) opened(ctx context.Context, n int) []*rest {
	asks := make([]*ask, 0, n)
	for i := range n {
		s, err := l.open()
		if err != nil {
			break // as many as the system gives
		}
		a := l.filled(s, l.Server, natprobe.MinTries)
		a.due = a.due.Add(time.Duration(i) * pace)
		asks = append(asks, a)
	}
	if l.round(ctx, asks...) != nil {
		return nil
	}
	var rests []*rest
	for _, a := range asks {
		if a.answered && a.answer.Seen.Addr() == l.from {
			rests = append(rests, &rest{on: a.on, seen: a.answer.Seen, since: a.At})
		}
	}
	return rests
}

// lay makes the mappings that will rest.
func (l *lifetimeTest) lay(ctx context.Context) error {
	var waits []time.Duration
	for w := firstRest; w <= l.Lifetime; w = time.Duration(float64(w) * restGrowth) {
		waits = append(waits, w)
	}
	used := l.opened(ctx, len(waits))
	for range usedExchanges - 1 {
		if err := sleep(ctx, usedFor/(usedExchanges-1)); err != nil {
			return err
		}
		if err := l.exchange(ctx, used); err != nil {
			return err
		}
	}
	fresh := l.opened(ctx, len(waits))
	for i, r := range used {
		r.used, r.wait = true, waits[i]
	}
	for i, r := range fresh {
		r.wait = waits[i]
	}
	l.rests = append(used, fresh...)
	return ctx.Err()
}

// exchange has a packet go out and come in at each mapping.
func (l *lifetimeTest) exchange(ctx context.Context, rests []*rest) error {
	asks := make([]*ask, 0, len(rests))
	for i, r := range rests {
		a := l.filled(r.on, l.Server, natprobe.MinTries)
		a.due = a.due.Add(time.Duration(i) * time.Millisecond)
		asks = append(asks, a)
	}
	err := l.round(ctx, asks...)
	for i, a := range asks {
		if a.answered {
			rests[i].since, rests[i].seen = a.At, a.answer.Seen
		}
	}
	return err
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkOf asks for an answer to a mapping that rests.
func (l *lifetimeTest) checkOf(r *rest, due time.Time) *ask {
	a := l.filled(l.asker, l.Server, checkTries)
	a.request.ResponsePort = r.seen.Port()
	a.answers, a.due, a.every = r.on, due, checkEvery
	return a
}

// enough reports whether both brackets have their upper ends.
func (l *lifetimeTest) enough() bool {
	fresh, used := l.span(false), l.span(true)
	if now := time.Now(); now.Sub(l.phased) >= time.Second {
		l.phased = now
		l.tell(fmt.Sprintf("binding lifetime: alive after %.0f s, in use after %.0f s (tried up to %.0f s)",
			fresh.AtLeast, used.AtLeast, l.Lifetime.Seconds()))
	}
	if !l.asked && l.ended(false) {
		l.asked = true
		l.again = l.askAgain(fresh.Seconds())
		l.added = l.again
	}
	return l.ended(false) && l.ended(true) && !slices.ContainsFunc(l.again, func(a *ask) bool { return !a.finished })
}

// ended reports whether enough mappings that rested longer than any survivor are
// dead.
func (l *lifetimeTest) ended(used bool) bool {
	dead := 0
	for _, r := range l.rests {
		switch {
		case r.used != used:
		case r.alive():
			dead = 0
		case r.dead():
			dead++
		}
	}
	return dead >= enoughDead
}

// span is the bracket that the answers make.
func (l *lifetimeTest) span(used bool) report.Span {
	var s report.Span
	for _, r := range l.rests {
		if r.used != used || r.check == nil || r.check.Tries == 0 {
			continue
		}
		switch {
		case r.alive():
			s.AtLeast, s.Below = r.check.At.Sub(r.since).Seconds(), 0
			s.Checks++
		case r.dead():
			if s.Below == 0 {
				s.Below = r.check.Since.Sub(r.since).Seconds()
			}
			s.Checks++
		}
	}
	return s
}

// askAgain asks mappings again that heard something in the meantime, after a rest
// that together with the first is longer than their lifetime of so many seconds.
func (l *lifetimeTest) askAgain(life float64) []*ask {
	var asks []*ask
	for _, r := range l.rests {
		share := r.wait.Seconds() / life
		if r.used || !r.alive() || share < refreshLow || share > refreshHigh {
			continue
		}
		due := r.check.At.Add(time.Duration(refreshAgain * life * float64(time.Second)))
		if due.After(time.Now()) && len(asks) < maxRefreshed {
			asks = append(asks, l.checkOf(r, due))
		}
	}
	return asks
}

// refreshed judges them. Those that had no time to be asked do not count.
func (l *lifetimeTest) refreshed() natprobe.Finding {
	var f natprobe.Finding
	for _, a := range l.again {
		if !a.finished {
			continue
		}
		f.Tries++
		f.Hits += a.Hits
		f.At = a.At
	}
	switch {
	case f.Hits*2 > f.Tries:
		f.Answer = natprobe.Yes
	case f.Hits == 0 && f.Tries > 1:
		f.Answer = natprobe.No
	}
	return f
}
