package splice

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"pileus/rtmfp/udp"
)

// Add gives the relay further sockets, which it owns from now on: relay ports, and handles to those of the
// engine. It waits until they are in use, or for ctx.
func (r *Relay) Add(ctx context.Context, ports []udp.Socket, shared []Writer) error {
	return r.change(ctx, func(time.Time) error {
		errs := make([]error, 0, len(ports))
		for _, s := range ports {
			errs = append(errs, r.addPort(s))
		}
		for _, w := range shared {
			r.addShared(w)
		}
		return errors.Join(errs...)
	})
}

// Withdraw takes back the sockets at some addresses, and closes them: the machine has these addresses no
// longer. Splices there end. It waits like Add.
func (r *Relay) Withdraw(ctx context.Context, at []netip.AddrPort) error {
	gone := make(map[netip.AddrPort]bool, len(at))
	for _, a := range at {
		gone[a] = true
	}
	r.mu.Lock()
	r.book.withdraw(gone) // nothing begins there any more
	r.mu.Unlock()
	return r.change(ctx, func(now time.Time) error {
		sockets := make(map[int]bool)
		for i, w := range r.writers {
			if w != nil && gone[w.LocalAddr()] {
				sockets[i] = true
			}
		}
		r.table.withdraw(now, sockets)
		r.settle(now)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.book.forget(gone)
		for i := range sockets {
			r.removeSocket(i)
		}
		return nil
	})
}

// change runs f on the relay's goroutine and waits for it.
func (r *Relay) change(ctx context.Context, f func(now time.Time) error) error {
	done := make(chan error, 1)
	r.mu.Lock()
	if r.finished {
		r.mu.Unlock()
		return ErrStopped
	}
	r.order(func(now time.Time) { done <- f(now) })
	r.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// addPort, addShared and removeSocket are for the relay's goroutine, the last with mu held. Others read
// writers with mu held, and the map of shared sockets at any time.
func (r *Relay) addPort(s udp.Socket) error {
	i, err := r.inlet.Add(s)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.seat(s)
	if i == len(r.read) {
		r.read = append(r.read, n)
	} else {
		r.read[i] = n
	}
	r.table.addSocket(n, false)
	r.book.addPort(n, s.LocalAddr())
	return nil
}

func (r *Relay) addShared(w Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.seat(w)
	r.table.addSocket(n, true)
	r.book.addShared(n, w.LocalAddr())
	shared := maps.Clone(*r.shared.Load())
	shared[w.LocalAddr()] = &sharedSocket{socket: n}
	r.shared.Store(&shared)
}

// seat is the number of a socket: the lowest that is free.
func (r *Relay) seat(w Writer) int {
	n := slices.Index(r.writers, nil)
	if n < 0 {
		n = len(r.writers)
		r.writers = append(r.writers, nil)
	}
	r.writers[n] = w
	return n
}

func (r *Relay) removeSocket(n int) {
	w := r.writers[n]
	r.writers[n] = nil
	if (*r.shared.Load())[w.LocalAddr()] != nil {
		shared := maps.Clone(*r.shared.Load())
		delete(shared, w.LocalAddr())
		r.shared.Store(&shared)
		_ = w.Close()
		return
	}
	i := slices.Index(r.read, n)
	r.read[i] = -1
	r.inlet.Remove(i)
}

// addSocket makes room for a socket under a number that is new or free.
func (t *Table) addSocket(n int, engine bool) {
	if n == len(t.sockets) {
		t.sockets = append(t.sockets, socket{})
	}
	t.sockets[n] = socket{engine: engine}
	if engine {
		t.sockets[n].bySource = make(map[netip.AddrPort][]*side)
	}
}

// withdraw ends all that has a side at one of the sockets.
func (t *Table) withdraw(now time.Time, sockets map[int]bool) {
	for _, s := range t.splices {
		if sockets[s.sides[0].socket] || sockets[s.sides[1].socket] {
			t.end(now, s, EndAddress)
		}
	}
}

func (b *Book) addPort(n int, at netip.AddrPort) {
	p := b.pool(at.Addr())
	if p == nil {
		p = new(pool)
		b.pools = append(b.pools, p)
	}
	port := &port{socket: n, addr: at}
	p.ports = append(p.ports, port)
	port.idle = p.idle.PushBack(port)
}

func (b *Book) addShared(n int, at netip.AddrPort) {
	b.shared[at] = &port{socket: n, addr: at, engine: true, held: make(map[netip.AddrPort]*use)}
}

// withdraw sees that no port at these addresses is given to anybody any more.
func (b *Book) withdraw(gone map[netip.AddrPort]bool) {
	for _, pool := range b.pools {
		for _, p := range pool.ports {
			if gone[p.addr] {
				p.gone = true
				pool.remove(p)
			}
		}
	}
	for _, p := range b.shared {
		p.gone = p.gone || gone[p.addr]
	}
	for _, v := range b.reserved.byPair {
		if v.ports[0].gone || v.ports[1].gone {
			b.reserved.forget(v)
		}
	}
}

// forget takes out ports that were withdrawn and have no live use.
func (b *Book) forget(gone map[netip.AddrPort]bool) {
	leave := func(p *port) bool {
		if !p.gone || !gone[p.addr] {
			return false
		}
		for _, u := range p.uses {
			u.pair.forget(u)
		}
		for _, u := range p.held {
			u.pair.forget(u)
		}
		return true
	}
	for _, pool := range b.pools {
		pool.ports = slices.DeleteFunc(pool.ports, leave)
		pool.turn = 0
	}
	b.pools = slices.DeleteFunc(b.pools, func(p *pool) bool { return len(p.ports) == 0 })
	maps.DeleteFunc(b.shared, func(_ netip.AddrPort, p *port) bool { return leave(p) })
}
