package splice

import (
	"time"

	"pileus/relay/limit"
)

// A reservation is a splice that may come to be, of two peers that were told of
// their own addresses too and mostly need no more. It names two ports and holds
// nothing: no port, no quota, nothing of the table. Startup packets are told apart
// by their tags, so others may be named the same ports meanwhile; who comes with an
// IIKeying first has them.
type reservation struct {
	id      uint64
	key     pairKey
	ports   [2]*port // by side
	sides   [2]Party
	rebind  bool
	calls   []reservedCall // oldest first, at most maxCalls
	expires time.Time
	queued  time.Time // when it is looked at, which may be before expires
	gone    bool      // bound, or given up: nothing but its place in the queue is left
}

type reservedCall struct {
	tag  string
	from int // the side that calls
	hold time.Duration
}

// reservations are a Book's.
type reservations struct {
	byPair map[pairKey]*reservation
	byTag  map[helloKey]*reservation // at both sockets
	queue  []*reservation            // those to expire first first
	free   []*reservation
}

func newReservations() reservations {
	return reservations{byPair: make(map[pairKey]*reservation), byTag: make(map[helloKey]*reservation)}
}

// expire forgets those that nobody came for, and the oldest above maxReserved.
func (m *reservations) expire(now time.Time) {
	for len(m.queue) > 0 {
		v := m.queue[0]
		full := len(m.queue) >= maxReserved
		if !v.gone && !full && now.Before(v.queued) {
			return
		}
		m.queue[0] = nil
		m.queue = m.queue[1:]
		if !v.gone && !full && now.Before(v.expires) { // it was asked for again
			m.push(v)
			continue
		}
		m.forget(v)
		v.calls = v.calls[:0]
		m.free = append(m.free, v)
	}
}

func (m *reservations) push(v *reservation) {
	v.queued = v.expires
	m.queue = append(m.queue, v)
}

// add makes room for a reservation. A forgotten one may be known to a table still,
// which tells by the ID.
func (m *reservations) add(v reservation) *reservation {
	p := new(reservation)
	if n := len(m.free); n > 0 {
		p = m.free[n-1]
		m.free = m.free[:n-1]
	}
	v.calls = p.calls
	*p = v
	m.byPair[p.key] = p
	m.push(p)
	return p
}

// forget takes v out of the indexes.
func (m *reservations) forget(v *reservation) {
	if v.gone {
		return
	}
	v.gone = true
	delete(m.byPair, v.key)
	for _, c := range v.calls {
		m.untag(v, c.tag)
	}
}

func (m *reservations) untag(v *reservation, tag string) {
	for _, p := range v.ports {
		if k := (helloKey{p.socket, tag}); m.byTag[k] == v {
			delete(m.byTag, k)
		}
	}
}

// call adds a call to v. One with the same tag goes on as it is.
func (m *reservations) call(v *reservation, c reservedCall) {
	for _, have := range v.calls {
		if have.tag == c.tag {
			return
		}
	}
	if len(v.calls) == maxCalls {
		m.untag(v, v.calls[0].tag)
		v.calls = append(v.calls[:0], v.calls[1:]...)
	}
	v.calls = append(v.calls, c)
	for _, p := range v.ports {
		// Another pair's tag stays the other's.
		if k := (helloKey{p.socket, c.tag}); m.byTag[k] == nil {
			m.byTag[k] = v
		}
	}
}

// release forgets a call of v, which is relayed elsewhere now, and v with its last.
func (m *reservations) release(v *reservation, tag string) {
	for i, c := range v.calls {
		if c.tag == tag {
			m.untag(v, tag)
			v.calls = append(v.calls[:i], v.calls[i+1:]...)
			break
		}
	}
	if len(v.calls) == 0 {
		m.forget(v)
	}
}

// reserve names two ports. Asked again for the same pair, it names the same.
func (b *Book) reserve(now time.Time, r *Request, key pairKey, from int, sides [2]*Party) (Grant, error) {
	m := &b.reserved
	m.expire(now)
	v := m.byPair[key]
	if v != nil && !v.suits(sides) {
		m.forget(v)
		v = nil
	}
	if v == nil {
		if err := b.cfg.Limits.Admits(now, limit.Splice, sides[0].limited(), sides[1].limited()); err != nil {
			return Grant{}, err
		}
		pr := b.pairs[key]
		var ports [2]*port
		for i, p := range sides {
			var err error
			if ports[i], err = b.port(now, pr, i, p, i == from, ports[0], (*pool).name); err != nil {
				return Grant{}, err
			}
		}
		b.lastID++
		v = m.add(reservation{id: b.lastID, key: key, ports: ports, expires: now.Add(unboundFor)})
	}
	v.sides, v.rebind, v.expires = [2]Party{*sides[0], *sides[1]}, r.Rebind, now.Add(unboundFor)
	m.call(v, reservedCall{string(r.Tag), from, r.Hold})
	return Grant{ID: v.id, Initiator: v.ports[from].addr, Target: v.ports[1-from].addr}, nil
}

func (v *reservation) suits(sides [2]*Party) bool {
	for i, p := range v.ports {
		if p.addr.Addr().Is4() != sides[i].Addr.Addr().Is4() {
			return false
		}
	}
	return true
}

// Reserved is the order for a splice of which a startup packet with that tag came to
// a socket, if it is reserved. Nothing is bound yet: see [Book.Bind].
func (b *Book) Reserved(now time.Time, socket int, tag []byte) (Order, bool) {
	v := b.reserved.byTag[helloKey{socket, string(tag)}]
	if v == nil || !now.Before(v.expires) {
		return Order{}, false
	}
	v.expires = now.Add(unboundFor)
	o := Order{ID: v.id, Rebind: v.rebind, reserved: v, calls: append([]reservedCall(nil), v.calls...)}
	for i := range v.sides {
		o.Sockets[i] = v.ports[i].socket
		o.Peers[i], o.Addrs[i] = v.sides[i].Peer, v.sides[i].Addr
	}
	o.From = v.calls[0].from
	return o, true
}

// Bind gives what was reserved under an ID to its pair, for an IIKeying came: the
// ports, if no other pair has them meanwhile that they cannot be shared with, and
// the place in the limits. The order stands for what was reserved.
func (b *Book) Bind(now time.Time, o *Order) error {
	v := o.reserved
	if v == nil || v.gone || v.id != o.ID {
		return ErrReservation
	}
	c, err := b.bind(now, v, o)
	if err != nil {
		b.refused[refusalOf(err)]++
		return err
	}
	c.seq++
	o.Seq, o.calls, o.reserved = c.seq, append([]reservedCall(nil), v.calls...), nil
	return nil
}

// bind makes a contract of a reservation.
func (b *Book) bind(now time.Time, v *reservation, o *Order) (*contract, error) {
	pr := b.pair(v.key)
	for i, p := range v.ports {
		p.forget(now)
		if !p.takes(now, pr, v.sides[i].Addr) || len(p.uses) >= maxSharers && !pr.has(p, i) {
			return nil, ErrPorts
		}
	}
	var err error
	if o.Limits, err = b.cfg.Limits.Open(now, limit.Splice, v.sides[0].limited(), v.sides[1].limited()); err != nil {
		return nil, err
	}
	b.reserved.forget(v)
	return b.contract(now, pr, v.id, v.ports, [2]*Party{&v.sides[0], &v.sides[1]}), nil
}
