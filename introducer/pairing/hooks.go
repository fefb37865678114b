package pairing

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	maxAnswer  = 64 << 10 // bytes of a core's answer that are read
	maxReason  = 200      // bytes of its reason that go on to a client
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
}

// Verdict is a core's answer to a question.
type Verdict struct {
	Allow  bool
	Reason string // for the client, if it is refused; may be empty
	Down   bool   // the core did not answer: Allow is the configured one
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
}

// Hooks calls a core. Its methods never block and may be called from any
// goroutine.
type Hooks struct {
	client *http.Client
	asks   chan ask
	wake   chan struct{}

	mu      sync.Mutex // around all below
	cfg     Config
	ended   bool
	queue   queue
	breaker breaker
	stats   Stats
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
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one by its documentation
	transport.MaxIdleConnsPerHost = maxAsking + 1
	transport.MaxResponseHeaderBytes = maxAnswer
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, Time: c.Wall}
	return &Hooks{
		client: &http.Client{
			Transport: transport,
			// A redirect would carry the signed body to somebody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		asks:  make(chan ask, maxWaiting),
		wake:  make(chan struct{}, 1),
		cfg:   c,
		queue: queue{limit: c.Queue},
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
	c.Wall = h.cfg.Wall
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
	if err != nil || len(text) > maxBody || !h.queue.push(event{rand.Text(), text}) {
		h.stats.Lost++
		return
	}
	h.poke()
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
	if err == nil && len(text) <= maxBody && !h.ended && h.breaker.allows(time.Now()) {
		select {
		case h.asks <- ask{text, done}:
			return Verdict{}, false
		default:
		}
	}
	h.stats.Shed++
	return h.down(), true
}

// down is the verdict when the core does not give one.
func (h *Hooks) down() Verdict {
	h.stats.NoAnswer++
	return Verdict{Allow: h.cfg.AllowWhenDown, Down: true, Reason: "the server that decides about this does not answer"}
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
	h.client.CloseIdleConnections()
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	for {
		select {
		case a := <-h.asks:
			h.mu.Lock()
			v := h.down()
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
	var answer struct {
		Allow  *bool  `json:"allow"`
		Reason string `json:"reason"`
	}
	status, text, err := h.post(ctx, rand.Text(), body)
	if err == nil && (status != http.StatusOK || json.Unmarshal(text, &answer) != nil || answer.Allow == nil) {
		err = errors.New("not an answer")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.breaker.note(time.Now(), err == nil)
	if err != nil {
		return h.down()
	}
	if *answer.Allow {
		h.stats.Allowed++
	} else {
		h.stats.Refused++
	}
	// A character that is cut is left out.
	return Verdict{Allow: *answer.Allow, Reason: strings.ToValidUTF8(answer.Reason[:min(len(answer.Reason), maxReason)], "")}
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
		status, _, err := h.post(ctx, e.id, e.body)
		if ctx.Err() != nil {
			return
		}
		h.mu.Lock()
		switch {
		case err == nil && status/100 == 2:
			h.stats.Told++
			h.queue.done()
		case err == nil && final(status):
			h.stats.Discarded++
			h.queue.done()
		default:
			h.stats.Retries++
			h.queue.failed(time.Now())
		}
		h.mu.Unlock()
	}
}

// final reports whether a status means that the same event will never be taken.
// One that waits for better days must not hold up all that follow.
func final(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, // a wrong secret or URL is put right
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}

func (h *Hooks) post(ctx context.Context, id string, body []byte) (status int, text []byte, err error) {
	h.mu.Lock()
	cfg := h.cfg
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, cfg.URL, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "pileus")
	sign(r.Header, cfg.Secret, cfg.Wall(), id, body)
	resp, err := h.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, text, err
}
