package limit

import (
	"net/netip"
	"sync"
	"time"
)

// A Controller has the limits of one node and everything that counts against them. Its methods may be
// called from any goroutine.
type Controller struct {
	ended func(Ended)

	mu       sync.Mutex
	cfg      Config
	draining bool
	pairs    []*Pair
	node     account
	tenants  directory[string]
	peers    directory[peerKey]
	prefixes map[netip.Prefix][numKinds]int
	holders  [numKinds]int // peers with a pair
	refused  [numKinds][numQuotas]uint64

	last  time.Time // Advance
	day   int64     // UTC
	step  uint64
	alloc allocator
}

// Ended is the event at the end of a pair.
type Ended struct {
	Kind   Kind
	A, B   Party
	Totals Totals
}

// New returns a Controller that calls ended, unless it is nil, at the end of each pair, on the goroutine
// that closes it.
func New(cfg Config, ended func(Ended)) *Controller {
	return &Controller{
		ended:    ended,
		cfg:      cfg,
		tenants:  make(directory[string]),
		peers:    make(directory[peerKey]),
		prefixes: make(map[netip.Prefix][numKinds]int),
		step:     1, // in which no meter, being new, was given a bound
	}
}

// A Pair is two parties that are relayed.
type Pair struct {
	Forward, Backward *Flow    // what the first party sends, and the second
	Parties           [2]Party // as given to Open

	c      *Controller
	kind   Kind
	index  int // in Controller.pairs; -1: closed
	opened time.Time
	flows  [2]Flow
	tenant *account    // nil: none
	peers  [2]*account // nil: unknown
}

func (p Party) key() peerKey { return peerKey{p.Tenant, p.Peer} }

// Open admits a pair of a and b, in this order; both may be of the same tenant only. It fails with
// ErrDraining or a *QuotaError.
func (c *Controller) Open(now time.Time, kind Kind, a, b Party) (*Pair, error) {
	p := &Pair{Parties: [2]Party{a, b}, c: c, kind: kind, opened: now}
	p.Forward, p.Backward = &p.flows[0], &p.flows[1]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newDay(now)
	c.find(p)
	if err := c.admit(p); err != nil {
		return nil, err
	}
	c.enter(p)
	for i := range p.flows {
		f := &p.flows[i]
		f.control = control{from: p.peers[i], to: p.peers[1-i], tenant: p.tenant, share: -1}
		c.setRate(f, c.newcomer(f))
	}
	return p, nil
}

// Admits reports whether Open would admit a pair now, by the same errors.
func (c *Controller) Admits(now time.Time, kind Kind, a, b Party) error {
	p := Pair{Parties: [2]Party{a, b}, kind: kind}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newDay(now)
	c.find(&p)
	return c.admit(&p)
}

// find sets the accounts that there are of a pair's parties.
func (c *Controller) find(p *Pair) {
	p.tenant = c.tenants[p.tenantName()]
	for i, party := range p.Parties {
		p.peers[i] = c.peers[party.key()]
	}
}

func (p *Pair) tenantName() string {
	if p.Parties[0].Tenant != "" {
		return p.Parties[0].Tenant
	}
	return p.Parties[1].Tenant
}

// enter counts a pair wherever pairs are counted. Each account is held by its pair before the next is
// made, which may need somebody's place.
func (c *Controller) enter(p *Pair) {
	c.node.enter(p.kind)
	if name := p.tenantName(); name != "" {
		p.tenant = c.tenants.get(name)
		p.tenant.rate = c.cfg.For(name).Rate
		p.tenant.enter(p.kind)
	}
	for i, party := range p.Parties {
		if party.Peer != "" {
			p.peers[i] = c.peers.get(party.key())
			if p.peers[i].enter(p.kind); p.peers[i].open[p.kind] == 1 {
				c.holders[p.kind]++
			}
		}
	}
	c.countPrefixes(p, 1)
	p.index = len(c.pairs)
	c.pairs = append(c.pairs, p)
}

func (c *Controller) leave(p *Pair, lasted time.Duration) {
	c.node.leave(p.kind, lasted)
	if p.tenant != nil {
		p.tenant.leave(p.kind, lasted)
	}
	for _, a := range p.peers {
		if a == nil {
			continue
		}
		if a.leave(p.kind, lasted); a.open[p.kind] == 0 {
			c.holders[p.kind]--
		}
	}
	c.countPrefixes(p, -1)
	last := len(c.pairs) - 1
	c.pairs[p.index] = c.pairs[last]
	c.pairs[p.index].index = p.index
	c.pairs[last] = nil
	c.pairs = c.pairs[:last]
	p.index = -1
}

func (c *Controller) countPrefixes(p *Pair, by int) {
	for i, party := range p.Parties {
		if !party.Prefix.IsValid() || i == 1 && party.Prefix == p.Parties[0].Prefix {
			continue
		}
		n := c.prefixes[party.Prefix]
		n[p.kind] += by
		if c.prefixes[party.Prefix] = n; n == [numKinds]int{} {
			delete(c.prefixes, party.Prefix)
		}
	}
}

// Close ends a pair and returns its account. What waits in its flows is dropped: it is called by their
// owner, or when that has stopped. A second call does nothing.
func (p *Pair) Close(now time.Time) Totals {
	c := p.c
	c.mu.Lock()
	if p.index < 0 {
		c.mu.Unlock()
		return Totals{}
	}
	for i := range p.flows {
		p.flows[i].Discard()
		c.measure(p, i)
	}
	t := p.Totals(now)
	c.leave(p, t.Duration)
	c.mu.Unlock()
	if c.ended != nil {
		c.ended(Ended{p.kind, p.Parties[0], p.Parties[1], t})
	}
	return t
}

// Totals is the pair's account so far. It may be called from any goroutine.
func (p *Pair) Totals(now time.Time) Totals {
	return Totals{
		Sent: p.flows[0].Counts(), Received: p.flows[1].Counts(),
		Pairs: 1, Duration: now.Sub(p.opened),
	}
}

// Reload replaces the configuration. It holds for live pairs at once, but nothing that is open is closed
// for a quota that has shrunk.
func (c *Controller) Reload(cfg Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cfg.Capacity, cfg.Wall = c.cfg.Capacity, c.cfg.Wall
	c.cfg = cfg
	for name, a := range c.tenants {
		a.rate = cfg.For(name).Rate
	}
	c.divide(0)
}

// SetCapacity tells how many pairs of a kind there is room for now.
func (c *Controller) SetCapacity(kind Kind, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cfg.Capacity[kind] = n
}

// Drain refuses new pairs, or admits them again.
func (c *Controller) Drain(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = on
}
