package pairing

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	maxAsking  = 32       // questions under way at once
	maxWaiting = 1024     // questions that wait for their turn
	maxBody    = 64 << 10 // bytes of a hook: a connect with long arguments fits

	defaultTimeout = 2 * time.Second
	defaultQueue   = 10_000
)

// Config says where a core is and what happens when it is not there.
type Config struct {
	URL    string // https, or http where the way to the core is safe
	Secret []byte // at least MinSecret bytes

	// Timeout bounds each try; zero is 2 s.
	Timeout time.Duration
	// AllowWhenDown is the verdict when the core does not answer in time, or not
	// as it should.
	AllowWhenDown bool
	// Queue is how many events wait for a core that is down, before further ones
	// are lost; zero is 10,000.
	Queue int
	// Wall tells the time of day, which hooks are signed with and the core's
	// certificate is judged by; nil is time.Now. Reconfigure keeps that of New.
	Wall func() time.Time
	// Log is told why hooks failed; nil: nobody is. Reconfigure keeps that of New.
	Log *slog.Logger
}

// MinSecret is the least length of a shared secret, in bytes: half of what
// SHA-256 gives.
const MinSecret = 16

// Validate says what is wrong.
func (c Config) Validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not a URL such as https://core.example/pileus", c.URL)
	}
	if u.User != nil || u.RawQuery != "" {
		return errors.New("a URL ends up in logs: no password and no query in it; the signature proves who calls")
	}
	if len(c.Secret) < MinSecret {
		return fmt.Errorf("the secret has %d bytes; at least %d, as from: openssl rand -hex 32", len(c.Secret), MinSecret)
	}
	return nil
}

func (c *Config) fill() {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	if c.Wall == nil {
		c.Wall = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Verdict is a core's answer to a question.
type Verdict struct {
	Allow  bool
	Reason string // for the client, if it is refused; may be empty
	Down   bool   // the core gave none: Allow is the configured one
}

// Stats counts what became of hooks. All but Waiting and Down only grow.
type Stats struct {
	Allowed, Refused uint64 // answers of the core
	NoAnswer         uint64 // questions it left open, Shed ones included
	Shed             uint64 // of these, not asked: too many at once, or the core is known to be down
	Told             uint64 // events the core has taken
	Retries          uint64 // tries that failed
	Discarded        uint64 // events the core refused for good
	Lost             uint64 // events that found the queue full
	Waiting          int    // events in the queue now

	// Why questions got no verdict, and why events were not taken.
	AskFailures, TellFailures [NumFailures]uint64
}

// Hooks calls a core. Its methods never block and may be called from any
// goroutine.
type Hooks struct {
	sender *sender
	asks   chan ask
	wake   chan struct{}

	mu      sync.Mutex // around all below
	cfg     Config
	ended   bool
	queue   queue
	breaker breaker
	stats   Stats
	journal journal
}

type ask struct {
	body []byte
	done func(Verdict)
}

// New makes Hooks that call nobody before Run.
func New(c Config) (*Hooks, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.fill()
	return &Hooks{
		sender:  newSender(c.Wall),
		asks:    make(chan ask, maxWaiting),
		wake:    make(chan struct{}, 1),
		cfg:     c,
		queue:   queue{limit: c.Queue},
		journal: journal{log: c.Log},
	}, nil
}

// Reconfigure changes everything but the events that wait, for what comes next.
func (h *Hooks) Reconfigure(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c.fill()
	h.mu.Lock()
	defer h.mu.Unlock()
	c.Wall, c.Log = h.cfg.Wall, h.cfg.Log
	h.cfg, h.queue.limit, h.breaker = c, c.Queue, breaker{}
	h.poke()
	return nil
}

// Stats is a copy of the counters.
func (h *Hooks) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Waiting = len(h.queue.events)
	return s
}

// Tell queues an event, whose body becomes JSON.
func (h *Hooks) Tell(body any) {
	text, err := json.Marshal(body)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil || len(text) > maxBody:
		h.stats.Lost++
		h.stats.TellFailures[Oversized]++
		h.journal.line(time.Now(), Oversized, "an event for the core is lost", "reason", Oversized.String(), "bytes", len(text))
	case !h.queue.push(event{rand.Text(), text}):
		h.stats.Lost++
	default:
		h.poke()
	}
}

func (h *Hooks) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Ask puts a question to the core. done is called once, later, from a goroutine
// of h; unless the verdict is there at once, which ok says.
func (h *Hooks) Ask(body any, done func(Verdict)) (v Verdict, ok bool) {
	text, err := json.Marshal(body)
	h.mu.Lock()
	defer h.mu.Unlock()
	why := failed{why: Oversized, text: strconv.Itoa(len(text)) + " bytes"}
	if err == nil && len(text) <= maxBody {
		switch {
		case h.ended:
			why = failed{why: Stopped}
		case !h.breaker.allows(time.Now()):
			why = failed{Down, "it did not answer the latest questions, and is asked once a second"}
		default:
			select {
			case h.asks <- ask{text, done}:
				return Verdict{}, false
			default:
				why = failed{Busy, strconv.Itoa(maxWaiting) + " questions wait"}
			}
		}
	}
	h.stats.Shed++
	return h.open(&why), true
}

// open is the verdict when the core gives none. What a client made too long to be asked
// is refused, else it could choose not to be asked for.
func (h *Hooks) open(f *failed) Verdict {
	h.stats.NoAnswer++
	h.stats.AskFailures[f.why]++
	v := Verdict{Allow: h.cfg.AllowWhenDown && f.why != Oversized, Down: true, Reason: "the server that decides about this does not answer"}
	if f.why == Oversized {
		v.Reason = "this is too long for the server that decides about it"
	}
	if f.why != Stopped {
		h.journal.line(time.Now(), f.why, "no verdict of the core", "reason", f.why.String(), "detail", detail(f.text), "allowed", v.Allow)
	}
	return v
}

// Run calls the core until ctx ends. Questions still open then get the verdict
// of a core that is down.
func (h *Hooks) Run(ctx context.Context) {
	var all sync.WaitGroup
	for range maxAsking {
		all.Go(func() { h.answer(ctx) })
	}
	h.deliver(ctx)
	all.Wait()
	h.sender.closeIdle()
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	for {
		select {
		case a := <-h.asks:
			h.mu.Lock()
			v := h.open(&failed{why: Stopped})
			h.mu.Unlock()
			a.done(v)
		default:
			return
		}
	}
}

// answer takes questions, one after the other.
func (h *Hooks) answer(ctx context.Context) {
	for {
		select {
		case a := <-h.asks:
			a.done(h.ask(ctx, a.body))
		case <-ctx.Done():
			return
		}
	}
}

func (h *Hooks) ask(ctx context.Context, body []byte) Verdict {
	a, err := h.send(ctx, message{rand.Text(), body})
	var v Verdict
	if err == nil {
		v, err = a.verdict()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.breaker.note(time.Now(), err == nil || !err.silent(a.status))
	switch {
	case err != nil:
		return h.open(err)
	case v.Allow:
		h.stats.Allowed++
	default:
		h.stats.Refused++
	}
	return v
}

// send sends by the configuration of now.
func (h *Hooks) send(ctx context.Context, m message) (answer, *failed) {
	h.mu.Lock()
	cfg := h.cfg
	h.mu.Unlock()
	a, err := h.sender.send(ctx, &cfg, m)
	if a.to != "" {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.journal.line(time.Now(), NumFailures, "the core redirects each hook, which costs a round trip; hooks.url may name the place",
			"from", a.from, "to", detail(a.to))
	}
	return a, err
}

// deliver brings events to the core, in order.
func (h *Hooks) deliver(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		h.mu.Lock()
		e, wait := h.queue.first(time.Now())
		h.mu.Unlock()
		if wait != 0 {
			var due <-chan time.Time
			if wait > 0 {
				timer.Reset(wait)
				due = timer.C
			}
			select {
			case <-due:
			case <-h.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		a, failure := h.send(ctx, message(e))
		if ctx.Err() != nil {
			return
		}
		if failure == nil && a.status/100 != 2 {
			failure = &failed{Status, fmt.Sprintf("status %d and %s", a.status, show(a.body))}
		}
		h.told(a, failure)
	}
}

// told notes what became of the first event.
func (h *Hooks) told(a answer, f *failed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f == nil {
		h.stats.Told++
		h.queue.done()
		return
	}
	h.stats.TellFailures[f.why]++
	text := "the core did not take an event, which waits"
	if f.why == Status && final(a.status) {
		text = "the core refused an event, which is discarded"
		h.stats.Discarded++
		h.queue.done()
	} else {
		h.stats.Retries++
		h.queue.failed(time.Now(), a.retryAfter(h.cfg.Wall()))
	}
	h.journal.line(time.Now(), f.why, text, "reason", f.why.String(), "detail", detail(f.text))
}
