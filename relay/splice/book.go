package splice

import (
	"net/netip"
	"slices"
	"time"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
)

// BookConfig says what a Book has to give. It is not changed after NewBook.
type BookConfig struct {
	// Range are the bound addresses of the relay ports, Shared those of the engine's
	// sockets at which restricted peers can be relayed. Sockets are numbered in this
	// order, from 0.
	Range, Shared []netip.AddrPort
	Guard         *guard.Guard
	Limits        *limit.Controller
}

// Book is the relay's control plane. Use it from one goroutine at a time.
type Book struct {
	cfg    BookConfig
	pools  []*pool
	shared map[netip.AddrPort]*port
	pairs  map[pairKey]*pair
	live   map[uint64]*contract
	hellos map[helloKey]*contract // IHellos that are to come to sockets of the engine
	lastID uint64

	reserved reservations
	refused  [numRefusals]uint64
}

// A pair is remembered as long as one of its uses is.
type pair struct {
	book *Book
	key  pairKey
	uses []*use
	live []*contract
}

func (p *pair) forget(u *use) {
	p.uses = slices.DeleteFunc(p.uses, func(have *use) bool { return have == u })
	if len(p.uses) == 0 && len(p.live) == 0 {
		delete(p.book.pairs, p.key)
	}
}

// has reports whether a side of the pair has, or had, a port.
func (p *pair) has(at *port, side int) bool {
	return slices.ContainsFunc(p.uses, func(u *use) bool { return u.port == at && u.side == side })
}

// A contract is a splice, as the Book knows it.
type contract struct {
	id, seq uint64
	pair    *pair
	uses    [2]*use // by side
	hellos  []helloKey
}

// NewBook makes a Book.
func NewBook(c BookConfig) *Book {
	b := &Book{
		cfg: c, shared: make(map[netip.AddrPort]*port),
		pairs: make(map[pairKey]*pair), live: make(map[uint64]*contract), hellos: make(map[helloKey]*contract),
		reserved: newReservations(),
	}
	for i, a := range c.Range {
		b.addPort(i, a)
	}
	for i, a := range c.Shared {
		b.addShared(len(c.Range)+i, a)
	}
	return b
}

// pair is the one of that key, a new one if nothing is remembered of it.
func (b *Book) pair(key pairKey) *pair {
	if pr := b.pairs[key]; pr != nil {
		return pr
	}
	return &pair{book: b, key: key}
}

func (b *Book) pool(a netip.Addr) *pool {
	for _, p := range b.pools {
		if p.ports[0].addr.Addr() == a {
			return p
		}
	}
	return nil
}

// Open answers a request: what to tell the peers, and the table. Asked again with
// the same tag or another, the same pair is given the same addresses. Of an order
// without an ID the table need not be told: see [Request.Beside].
func (b *Book) Open(now time.Time, r Request) (Order, Grant, error) {
	o, g, err := b.open(now, &r)
	if err != nil {
		b.refused[refusalOf(err)]++
	}
	return o, g, err
}

func (b *Book) open(now time.Time, r *Request) (Order, Grant, error) {
	key, from := r.key()
	if len(r.Tag) == 0 || len(r.Tag) > maxTag || key.peers[0] == key.peers[1] {
		return Order{}, Grant{}, ErrRequest
	}
	sides := [2]*Party{&r.Initiator, &r.Target}
	if from == 1 {
		sides = [2]*Party{&r.Target, &r.Initiator}
	}
	for _, p := range sides {
		if v := p.judge(b.cfg.Guard); v != guard.Allowed {
			return Order{}, Grant{}, &AddressError{v}
		}
	}
	anywhere := len(r.Initiator.At) == 0 && len(r.Target.At) == 0
	var c *contract
	if pr := b.pairs[key]; pr != nil {
		c = pr.standing(sides, from)
	}
	if c == nil && r.Beside && anywhere {
		g, err := b.reserve(now, r, key, from, sides)
		return Order{}, g, err
	}
	o := r.order(from, sides)
	if v := b.reserved.byPair[key]; c == nil && anywhere && v != nil && v.suits(sides) {
		// What was named to them stays; if it cannot, another will do.
		if c, _ = b.bind(now, v, &o); c != nil {
			o.calls = append([]reservedCall(nil), v.calls...)
		}
	}
	if c == nil {
		var err error
		if c, err = b.begin(now, b.pair(key), sides, from, &o); err != nil {
			return Order{}, Grant{}, err
		}
	}
	if v := b.reserved.byPair[key]; v != nil {
		b.reserved.release(v, string(r.Tag))
	}
	c.seq++
	o.ID, o.Seq = c.id, c.seq
	for i, u := range c.uses {
		o.Sockets[i] = u.port.socket
	}
	// It asked at the very port where it will be relayed, so its IHello is here.
	if at := c.uses[from].port; at.engine && at.addr == r.Initiator.Local {
		o.Source = r.Initiator.Addr
	} else if at.engine {
		b.expect(c, at.socket, r.Tag)
	}
	return o, Grant{ID: c.id, Initiator: c.uses[from].port.addr, Target: c.uses[1-from].port.addr}, nil
}

// standing is the pair's live splice that suits a request.
func (p *pair) standing(sides [2]*Party, from int) *contract {
	for _, c := range p.live {
		if c.uses[0].suits(sides[0], from == 0) && c.uses[1].suits(sides[1], from == 1) {
			return c
		}
	}
	return nil
}

// suits reports whether the party can be relayed where u is.
func (u *use) suits(p *Party, initiator bool) bool {
	if len(p.At) == 0 {
		return !u.port.engine && u.port.addr.Addr().Is4() == p.Addr.Addr().Is4()
	}
	return slices.Contains(p.At, u.port.addr) && (initiator || u.port.addr != p.Local)
}

// begin reserves two ports.
func (b *Book) begin(now time.Time, pr *pair, sides [2]*Party, from int, o *Order) (*contract, error) {
	ports, err := b.ports(now, pr, sides, from, 0)
	if err != nil { // the other one may be less choosy
		ports, err = b.ports(now, pr, sides, from, 1)
	}
	if err != nil {
		return nil, err
	}
	if o.Limits, err = b.cfg.Limits.Open(now, limit.Splice, o.Parties[0], o.Parties[1]); err != nil {
		return nil, err
	}
	b.lastID++
	return b.contract(now, pr, b.lastID, ports, sides), nil
}

// contract gives two ports to a pair.
func (b *Book) contract(now time.Time, pr *pair, id uint64, ports [2]*port, sides [2]*Party) *contract {
	c := &contract{id: id, pair: pr}
	for i, p := range ports {
		c.uses[i] = p.take(now, pr, i, sides[i].Addr)
		if !p.engine {
			b.pool(p.addr.Addr()).remove(p)
		}
	}
	pr.live = append(pr.live, c)
	b.pairs[pr.key], b.live[c.id] = pr, c
	return c
}

// ports finds a port for each side, for that of index first first.
func (b *Book) ports(now time.Time, pr *pair, sides [2]*Party, from, first int) (ports [2]*port, err error) {
	for _, i := range []int{first, 1 - first} {
		if ports[i], err = b.port(now, pr, i, sides[i], i == from, ports[1-i], (*pool).pick); err != nil {
			return ports, err
		}
	}
	return ports, nil
}

// port finds a port for one side, another than the other side's; in the range, as
// from says.
func (b *Book) port(now time.Time, pr *pair, side int, p *Party, initiator bool, other *port, from pickFunc) (*port, error) {
	if len(p.At) > 0 {
		for _, a := range p.At {
			at := b.shared[a]
			if at == nil || at == other || !initiator && a == p.Local || a.Addr().Is4() != p.Addr.Addr().Is4() {
				continue
			}
			at.forget(now)
			if len(at.held) < maxRestricted && at.free(now, pr, p.Addr, !initiator) {
				return at, nil
			}
		}
		return nil, ErrRestricted
	}
	err := ErrFamily
	pools := b.pools
	if own := b.pool(p.Local.Addr()); own != nil { // what it reaches for sure
		pools = []*pool{own}
	}
	for _, pool := range pools {
		if pool.ports[0].addr.Addr().Is4() != p.Addr.Addr().Is4() {
			continue
		}
		if at := from(pool, now, pr, side, p.Addr, other); at != nil {
			return at, nil
		}
		err = ErrPorts
	}
	return nil, err
}

// Ended takes back what a splice had, and returns the sockets.
func (b *Book) Ended(now time.Time, e *Ended) (sockets []int) {
	c := b.live[e.ID]
	if c == nil || c.seq != e.Seq {
		return nil // it has been ordered again meanwhile
	}
	for _, k := range c.hellos {
		delete(b.hellos, k)
	}
	delete(b.live, c.id)
	c.pair.live = slices.DeleteFunc(c.pair.live, func(have *contract) bool { return have == c })
	for _, u := range c.uses {
		u.live--
		if e.Keyed {
			u.last = now
		}
		if p := u.port; !p.engine && p.idle == nil && !slices.ContainsFunc(p.uses, func(u *use) bool { return u.live > 0 }) {
			b.pool(p.addr.Addr()).put(now, p)
		}
		sockets = append(sockets, u.port.socket)
	}
	return sockets
}

// BookStats counts what a Book gave.
type BookStats struct {
	Ports, InUse, Shared int // of the range; Shared by several pairs
	Reserved             int // pairs that may come
	Refused              [numRefusals]uint64
}

// Stats counts.
func (b *Book) Stats(now time.Time) BookStats {
	b.reserved.expire(now)
	s := BookStats{Reserved: len(b.reserved.byPair), Refused: b.refused}
	for _, pool := range b.pools {
		s.Ports += len(pool.ports)
		s.InUse += len(pool.ports) - pool.idle.Len() - pool.resting.Len()
		for _, p := range pool.ports {
			n := 0
			for _, u := range p.uses {
				if u.resting(now) {
					n++
				}
			}
			if n > 1 {
				s.Shared++
			}
		}
	}
	return s
}

// order is the part of an Order that a request decides.
func (r *Request) order(from int, sides [2]*Party) Order {
	o := Order{
		From: from, Tag: slices.Clone(r.Tag), EPD: slices.Clone(r.EPD), Hold: r.Hold, Rebind: r.Rebind,
	}
	for i, p := range sides {
		o.Peers[i] = p.Peer
		o.Addrs[i] = p.Addr
		o.Parties[i] = p.limited()
	}
	return o
}

// limited is who p is to the limits.
func (p *Party) limited() limit.Party {
	l := limit.Party{Tenant: p.Tenant, Prefix: udp.Prefix(p.Addr.Addr())}
	if p.Peer != (flash.PeerID{}) {
		l.Peer = p.Peer.String()
	}
	return l
}
