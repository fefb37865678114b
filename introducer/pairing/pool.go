package pairing

import (
	"net/netip"
	"slices"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/share"
)

const (
	// maxCores is how many core servers may be registered at once.
	maxCores = 1 << 10
	// silence is when a core counts as gone that has not been heard of: they
	// send keepalives every 10 s.
	silence = 25 * time.Second
	// askedAgain is how long it is remembered which cores a client was sent to.
	askedAgain = 20 * time.Second
	// maxAsked bounds the clients of whom that is remembered.
	maxAsked = 1 << 13
)

// Link is a core's session, as the pool uses it.
type Link interface {
	PeerID() flash.PeerID
	Addr() netip.AddrPort
	Heard() time.Time // the last time something came from it
}

// Core is a registered core.
type Core struct {
	Link
	*Registration
	Since time.Time
	Sent  uint64 // clients
	turn  uint64 // when it got the last one
}

// At lists where clients of from's family reach the core; of any, if other.
func (c *Core) At(from netip.AddrPort, other bool) (list []netip.AddrPort) {
	add := func(a netip.AddrPort) {
		if (other || a.Addr().Is4() == from.Addr().Is4()) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	if c.Reflexive {
		add(c.Addr())
	}
	for _, a := range c.Addresses {
		add(a)
	}
	return list
}

// Pool is the cores behind a node.
type Pool struct {
	cores []*Core // the latest registration of a fingerprint last
	turn  uint64  // rotates among equals
	asked *share.Cache[asked, tried]
	list  []*Core // what Cores lists; nil: it has changed
}

// asked is one search of a client: its repeats have the same tag.
type asked struct {
	from netip.AddrPort
	tag  string
}

// tried is the cores that a client was sent to.
type tried struct {
	at    time.Time // first
	cores []flash.PeerID
}

// NewPool makes a pool without cores.
func NewPool() *Pool { return &Pool{asked: share.NewCache[asked, tried](maxAsked, 0, 0)} }

// SetShares says what part of the searches that are remembered, in percent, are of one
// prefix and one wide prefix at most; 0: any.
func (p *Pool) SetShares(prefix, wide int) { p.asked.SetShares(prefix, wide) }

// Add registers a core; false: there are too many. An older session with the same
// fingerprint gives way, and does not take this one along when it ends.
func (p *Pool) Add(c *Core) bool {
	if slices.Contains(p.cores, c) {
		return true
	}
	if len(p.cores) >= maxCores {
		return false
	}
	p.cores, p.list = append(p.cores, c), nil
	return true
}

// Remove takes out this very registration.
func (p *Pool) Remove(c *Core) {
	p.cores, p.list = slices.DeleteFunc(p.cores, func(o *Core) bool { return o == c }), nil
}

// Cores lists the latest registration of each core. The caller does not change it.
func (p *Pool) Cores() []*Core {
	if p.list != nil {
		return p.list
	}
	seen := map[flash.PeerID]bool{}
	for _, c := range slices.Backward(p.cores) {
		if id := c.PeerID(); !seen[id] {
			seen[id] = true
			p.list = append(p.list, c)
		}
	}
	slices.Reverse(p.list)
	return p.list
}

// Find is the core with a fingerprint, draining or not; nil if there is none.
func (p *Pool) Find(id flash.PeerID) *Core {
	for _, c := range slices.Backward(p.cores) {
		if c.PeerID() == id {
			return c
		}
	}
	return nil
}

// Choose is the core for a new client: the least loaded one that can be reached
// from its address family, in turn among equals. A client that asks again with the
// same tag did not reach the one it was sent to, so it is sent to the next. Nil:
// there is none.
func (p *Pool) Choose(now time.Time, from netip.AddrPort, tag []byte, other bool) *Core {
	key := asked{from, string(tag)}
	search, _ := p.asked.Get(key)
	tried := search.cores
	var best *Core
	p.turn++
	candidates := p.Cores()
	for pass := range 2 {
		for _, c := range candidates {
			if c.Draining || len(c.At(from, other)) == 0 || now.Sub(c.Heard()) > silence {
				continue
			}
			// Whoever has tried them all begins anew.
			if pass == 0 && slices.Contains(tried, c.PeerID()) {
				continue
			}
			if best == nil || c.Load < best.Load || c.Load == best.Load && c.turn < best.turn {
				best = c
			}
		}
		if best != nil {
			break
		}
		tried = nil
	}
	if best != nil {
		best.Sent++
		best.turn = p.turn
		search.cores = append(slices.Clone(tried), best.PeerID())
		p.remember(now, key, search)
	}
	return best
}

func (p *Pool) remember(now time.Time, key asked, search tried) {
	for old, t, ok := p.asked.Oldest(); ok && now.Sub(t.at) > askedAgain; old, t, ok = p.asked.Oldest() {
		p.asked.Delete(old)
	}
	if _, known := p.asked.Get(key); !known {
		search.at = now
	}
	p.asked.Put(key, search, key.from.Addr())
}
