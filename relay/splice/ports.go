package splice

import (
	"container/list"
	"net/netip"
	"time"
)

// A port is one of the relay's sockets, as the Book sees it. Those of the range
// belong to one side of one pair while there are enough of them. Those of the
// engine are for peers that reach nothing else: one pair at a time for each such
// peer.
type port struct {
	socket int
	addr   netip.AddrPort
	engine bool
	gone   bool // this machine's address is

	uses []*use                  // of the range: at most maxSharers
	held map[netip.AddrPort]*use // of the engine, by the peer's observed address
	idle *list.Element           // in one of its pool's lists, while no use is live
}

// A use is one side of one pair at a port: live while there are splices, then
// resting, when only the same pair gets it again.
type use struct {
	port *port
	pair *pair
	side int
	addr netip.AddrPort // of the peer, as observed when the use began
	live int            // splices
	last time.Time      // when a splice that was used ended
}

func (u *use) resting(now time.Time) bool { return u.live > 0 || now.Sub(u.last) < restFor }

// A pool is the range of ports on one address.
type pool struct {
	ports []*port
	// Ports without a live use, least recently used first: those that mean nothing
	// to any endpoint, and those that rest.
	idle, resting list.List
	turn          int // where the search for a port to share goes on
}

// put takes back a port that has no live use any more.
func (p *pool) put(now time.Time, port *port) {
	if port.gone {
		return
	}
	if port.rested(now) {
		port.idle = p.idle.PushBack(port)
	} else {
		port.idle = p.resting.PushBack(port)
	}
}

// remove takes a port out of its list. An element is removed only from the list
// that it is in.
func (p *pool) remove(port *port) {
	if port.idle != nil {
		p.idle.Remove(port.idle)
		p.resting.Remove(port.idle)
		port.idle = nil
	}
}

// A pickFunc finds a port for a side of a pair at addr, another than the other
// side's; nil: there is none.
type pickFunc func(p *pool, now time.Time, pr *pair, side int, addr netip.AddrPort, other *port) *port

// pick returns a port to be taken: one of the pair's own, else the least recently
// used, else one that it can share.
func (p *pool) pick(now time.Time, pr *pair, side int, addr netip.AddrPort, other *port) *port {
	if own := p.own(now, pr, side, addr); own != nil {
		return own
	}
	if next := p.next(now, other); next != nil {
		return next
	}
	return p.share(now, pr, addr, other)
}

// name is pick for a port that is named, and not taken. It is then the last in the
// line of those that nobody has, so another pair is told of it only when the others
// have been named too.
func (p *pool) name(now time.Time, pr *pair, side int, addr netip.AddrPort, other *port) *port {
	if pr != nil {
		if own := p.own(now, pr, side, addr); own != nil {
			return own
		}
	}
	if next := p.next(now, other); next != nil {
		p.remove(next)
		next.idle = p.idle.PushBack(next)
		return next
	}
	return p.share(now, pr, addr, other)
}

// own is the port that the pair has for a side, or had.
func (p *pool) own(now time.Time, pr *pair, side int, addr netip.AddrPort) *port {
	for _, u := range pr.uses {
		if u.side == side && !u.port.engine && p.has(u.port) && u.port.takes(now, pr, addr) {
			return u.port
		}
	}
	return nil
}

// next is the least recently used of those that mean nothing to anybody.
func (p *pool) next(now time.Time, other *port) *port {
	for _, l := range []*list.List{&p.idle, &p.resting} {
		for e := l.Front(); e != nil; e = e.Next() {
			if port := e.Value.(*port); port != other {
				if port.rested(now) {
					return port
				}
				break
			}
		}
	}
	return nil
}

// share is a port that has other pairs too, for the range is short.
func (p *pool) share(now time.Time, pr *pair, addr netip.AddrPort, other *port) *port {
	var best *port
	for range min(len(p.ports), maxSearched) {
		port := p.ports[p.turn]
		p.turn = (p.turn + 1) % len(p.ports)
		port.forget(now)
		if port != other && len(port.uses) < maxSharers && port.takes(now, pr, addr) &&
			(best == nil || len(port.uses) < len(best.uses)) {
			best = port
		}
	}
	return best
}

func (p *pool) has(port *port) bool {
	return len(p.ports) > 0 && p.ports[0].addr.Addr() == port.addr.Addr()
}

func (p *port) rested(now time.Time) bool {
	for _, u := range p.uses {
		if u.resting(now) {
			return false
		}
	}
	return true
}

// takes reports whether an endpoint at addr sees no two far ends behind the port
// if it is given to pr. A client that connected again has a new ID but its old
// sessions, so endpoints are told apart by address.
func (p *port) takes(now time.Time, pr *pair, addr netip.AddrPort) bool {
	if p.gone {
		return false
	}
	for _, u := range p.uses {
		if u.pair != pr && u.resting(now) && u.addr.Addr() == addr.Addr() {
			return false
		}
	}
	return true
}

// free reports whether the engine's port can relay a peer at addr. As target, it
// must not have had another far end there lately; as initiator, it only must not
// have one now, for two sessions with equal IDs cannot be told apart.
func (p *port) free(now time.Time, pr *pair, addr netip.AddrPort, target bool) bool {
	u := p.held[addr]
	switch {
	case p.gone:
		return false
	case u == nil || u.pair == pr:
		return true
	case target:
		return !u.resting(now)
	}
	return u.live == 0
}

// forget drops uses that mean nothing to anybody any more.
func (p *port) forget(now time.Time) {
	kept := p.uses[:0]
	for _, u := range p.uses {
		if u.resting(now) {
			kept = append(kept, u)
		} else {
			u.pair.forget(u)
		}
	}
	clear(p.uses[len(kept):])
	p.uses = kept
	if len(p.held) < maxRestricted {
		return
	}
	for addr, u := range p.held {
		if !u.resting(now) {
			u.pair.forget(u)
			delete(p.held, addr)
		}
	}
}

// take makes a live use of the port.
func (p *port) take(now time.Time, pr *pair, side int, addr netip.AddrPort) *use {
	var u *use
	for _, have := range pr.uses {
		if have.port == p && have.side == side {
			u = have
		}
	}
	if u == nil {
		p.forget(now)
		u = &use{port: p, pair: pr, side: side}
		pr.uses = append(pr.uses, u)
		if !p.engine {
			p.uses = append(p.uses, u)
		}
	}
	if p.engine {
		if old := p.held[addr]; old != nil && old != u {
			old.pair.forget(old)
		}
		if p.held[u.addr] == u {
			delete(p.held, u.addr)
		}
		p.held[addr] = u
	}
	u.addr = addr
	u.live++
	return u
}
