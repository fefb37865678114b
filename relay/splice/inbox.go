package splice

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// inboxSize is how many datagrams from the engine's sockets may wait for the
// relay: some milliseconds of what a crowd of restricted peers sends. A power of
// two.
const inboxSize = 1024

// inbox is a ring with one writer, the engine's goroutine, and one reader, the
// relay's. Neither ever waits for the other.
type inbox struct {
	slots      [inboxSize]inboxSlot
	head, tail atomic.Uint64 // next to read, next to write
	lost       atomic.Uint64
}

type inboxSlot struct {
	socket int
	d      udp.Datagram // the slot's own bytes
}

// put adds a datagram and reports whether the reader may have to be woken.
func (b *inbox) put(socket int, from netip.AddrPort, tos uint8, data []byte) (wake bool) {
	tail := b.tail.Load()
	if tail-b.head.Load() == inboxSize {
		b.lost.Add(1)
		return false
	}
	s := &b.slots[tail%inboxSize]
	s.socket = socket
	s.d = udp.Datagram{Peer: from, TOS: tos, Data: append(s.d.Data[:0], data...)}
	b.tail.Store(tail + 1)
	// The reader looks at tail before it sleeps: if it has not come this far, it
	// will see the datagram.
	return b.head.Load() == tail
}

func (b *inbox) empty() bool { return b.head.Load() == b.tail.Load() }

// take calls f with what waits; the datagram is valid during the call.
func (b *inbox) take(f func(socket int, d udp.Datagram)) {
	head, tail := b.head.Load(), b.tail.Load()
	for ; head != tail; head++ {
		s := &b.slots[head%inboxSize]
		f(s.socket, s.d)
		b.head.Store(head + 1)
	}
}

// Packet is offered a datagram that came to a socket of the engine and belongs to
// none of its sessions, on the engine's goroutine; it reports whether the relay
// took it. Which side it is from, if any, the table will say.
func (r *Relay) Packet(local, from netip.AddrPort, tos uint8, data []byte) bool {
	s := (*r.shared.Load())[local]
	if s == nil || s.live.Load() == 0 {
		return false
	}
	if r.inbox.put(s.socket, from, tos, data) {
		r.inlet.Wake()
	}
	return true
}

// Startup is offered a startup packet in the same way: one whose first chunk is of
// type typ, and which the engine itself has no use for. An IHello, though, is
// offered first: it is the relay's if a call expects it there.
func (r *Relay) Startup(local, from netip.AddrPort, tos uint8, data []byte, typ wire.ChunkType, body []byte) bool {
	s := (*r.shared.Load())[local]
	if s == nil || s.live.Load() == 0 {
		return false
	}
	if typ == wire.ChunkIHello {
		h, err := wire.ParseIHello(body)
		if err != nil {
			return false
		}
		r.mu.Lock()
		expected := r.book.Expects(s.socket, h.Tag)
		r.mu.Unlock()
		if !expected {
			return false
		}
	}
	return r.Packet(local, from, tos, data)
}

// Expects reports whether a call's IHello is to come to a socket of the engine.
// Where the call itself was asked for it is not: the introducer knows it.
func (b *Book) Expects(socket int, tag []byte) bool {
	_, ok := b.hellos[helloKey{socket, string(tag)}]
	return ok
}

type helloKey struct {
	socket int
	tag    string
}

// expect notes a call's IHello; the contract's oldest is forgotten beyond as many
// calls as a splice can have.
func (b *Book) expect(c *contract, socket int, tag []byte) {
	k := helloKey{socket, string(tag)}
	if _, ok := b.hellos[k]; ok {
		return // known, or another's, which it stays
	}
	b.hellos[k] = c
	if c.hellos = append(c.hellos, k); len(c.hellos) > maxCalls {
		delete(b.hellos, c.hellos[0])
		c.hellos = slices.Delete(c.hellos, 0, 1)
	}
}
