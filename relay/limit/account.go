package limit

import "time"

// An account is what is known of a peer, a tenant or the node.
type account struct {
	rate   Rate // of a tenant; 0: none
	open   [numKinds]int
	totals [numKinds]Totals
	today  uint64 // bytes in this UTC day
	// out bounds what the account's peers send, in what a peer receives. All that enters a node or a
	// tenant leaves it too: there, one bound serves both directions.
	out, in meter
}

func (a *account) enter(kind Kind) {
	a.open[kind]++
	a.totals[kind].Pairs++
}

func (a *account) leave(kind Kind, lasted time.Duration) {
	a.open[kind]--
	a.totals[kind].Duration += lasted
}

func (a *account) idle() bool {
	for _, n := range a.open {
		if n > 0 {
			return false
		}
	}
	return true
}

// A meter holds one shared limit to its long-run average. What a flow that was quiet may send at once is
// not taken from the others before it does; where that made too much in one step, the next ones have
// less.
type meter struct {
	used  float64 // bits in this step
	over  float64 // bits above the limit so far; below 0: it has some to come
	step  uint64  // in which it was given its bound
	bound int32
}

// settle ends a step of length dt and returns what may be given out in the next.
func (m *meter) settle(rate Rate, dt time.Duration) float64 {
	capacity := float64(max(rate, minRate))
	m.over += m.used - capacity*dt.Seconds()
	m.over = min(max(m.over, -capacity*Interval.Seconds()), capacity*maxOverused.Seconds())
	m.used = 0
	return max(capacity/2, capacity-max(0, m.over)/payback.Seconds())
}

// A peerKey is a peer within its tenant.
type peerKey struct{ tenant, peer string }

// A directory of accounts, at most maxParties but for those with open pairs.
type directory[K comparable] map[K]*account

// get returns the account of k, a new one if need be.
func (d directory[K]) get(k K) *account {
	if a := d[k]; a != nil {
		return a
	}
	if len(d) >= maxParties {
		d.evict()
	}
	a := new(account)
	d[k] = a
	return a
}

// evict removes, of some accounts without an open pair, the one with the fewest bytes: the order of a
// map's keys is random enough for a sample.
func (d directory[K]) evict() {
	var who K
	var least *account
	seen := 0
	for k, a := range d {
		if a.idle() && (least == nil || a.today < least.today) {
			who, least = k, a
		}
		if seen++; seen >= evictSample && least != nil {
			break
		}
	}
	if least != nil {
		delete(d, who)
	}
}

// nextDay begins a new day.
func (d directory[K]) nextDay() {
	for k, a := range d {
		a.today = 0
		if a.idle() {
			delete(d, k)
		}
	}
}

// Usage is the account of a peer, a tenant or the node, at the last Advance.
type Usage struct {
	Open   [numKinds]int    // pairs, by Kind
	Totals [numKinds]Totals // by Kind
	Today  uint64           // bytes relayed in this UTC day
}

func (a *account) usage() Usage { return Usage{a.open, a.totals, a.today} }

// Node returns the account of everything, and how many pairs were refused for which quota.
func (c *Controller) Node() (u Usage, refused [numKinds][numQuotas]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.node.usage(), c.refused
}

// Tenants returns the accounts of those who had a pair today, at most 16,384 beside those who have one.
func (c *Controller) Tenants() map[string]Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]Usage, len(c.tenants))
	for name, a := range c.tenants {
		out[name] = a.usage()
	}
	return out
}

// Peer returns the account of one who had a pair today.
func (c *Controller) Peer(tenant, peer string) (u Usage, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.peers[peerKey{tenant, peer}]
	if a == nil {
		return Usage{}, false
	}
	return a.usage(), true
}
