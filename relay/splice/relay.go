package splice

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
)

// A Writer sends from a socket that the relay does not read; a twin of a *udp.Conn
// is one.
type Writer interface {
	LocalAddr() netip.AddrPort
	WriteBatch(d []udp.Datagram) (n int, err error)
	Close() error
}

// Config says what a Relay works with. Guard and Limits are required.
type Config struct {
	// Sockets are the relay ports, which the relay owns from now on.
	Sockets []udp.Socket
	// Shared are handles to the engine's sockets at which restricted peers can be
	// relayed. What arrives there is offered by the engine: [Relay.Packet].
	Shared      []Writer
	Idle        time.Duration // a side silent for so long has gone; 0: 60 s
	MaxLifetime time.Duration // 0: none
	Guard       *guard.Guard
	// Limits is where pairs are entered. Somebody has to run its control loop.
	Limits *limit.Controller
	// Began, if not nil, is told of every splice whose first IIKeying has come, Ended
	// of every one that is over, begun or not. They are called on the relay's
	// goroutine and must not block.
	Began func(Began)
	Ended func(Ended)
}

// Relay is a Book and a Table with sockets and a clock. Its methods may be called
// from any goroutine but where they say otherwise; none but List and Serve blocks.
//
// One goroutine, in Serve, has the table and all that packets touch: it takes no
// lock for a packet, nor do flows share one. The mutex is for the book.
type Relay struct {
	cfg     Config
	table   *Table
	inlet   udp.Inlet
	writers []Writer // by socket; nil: withdrawn
	read    []int    // the sockets, by the inlet's numbers
	outbox  []udp.Datagram
	inbox   inbox // from the engine's sockets
	shared  atomic.Pointer[map[netip.AddrPort]*sharedSocket]

	mu       sync.Mutex
	book     *Book
	orders   []func(now time.Time) // for the table, in order
	waiting  atomic.Bool           // there are orders
	stats    Stats                 // of the table, a moment ago
	serving  bool
	finished bool
}

// sharedSocket is one of the engine's.
type sharedSocket struct {
	socket int
	live   atomic.Int32 // splices there
}

// New makes a relay. Nothing is relayed before Serve.
func New(c Config) (*Relay, error) {
	if c.Guard == nil || c.Limits == nil {
		return nil, errors.New("splice: Config needs Guard and Limits")
	}
	r, shared := &Relay{cfg: c}, make(map[netip.AddrPort]*sharedSocket)
	book := BookConfig{Guard: c.Guard, Limits: c.Limits}
	for i, s := range c.Sockets {
		book.Range = append(book.Range, s.LocalAddr())
		r.read = append(r.read, i)
		r.writers = append(r.writers, s)
	}
	for i, w := range c.Shared {
		book.Shared = append(book.Shared, w.LocalAddr())
		r.writers = append(r.writers, w)
		shared[w.LocalAddr()] = &sharedSocket{socket: len(c.Sockets) + i}
	}
	r.shared.Store(&shared)
	r.book = NewBook(book)
	r.table = NewTable(TableConfig{
		Sockets: len(r.writers), Shared: len(c.Sockets), Idle: c.Idle, MaxLifetime: c.MaxLifetime, Guard: c.Guard, Limits: c.Limits,
		Reserved: r.reserved, Bind: r.bind,
	})
	var err error
	if r.inlet, err = udp.NewInlet(c.Sockets, maxStartup); err != nil {
		return nil, fmt.Errorf("splice: %w", err)
	}
	return r, nil
}

// Open answers a request: see [Book.Open]. The splice stands when it returns.
func (r *Relay) Open(q Request) (Grant, error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return Grant{}, ErrStopped
	}
	o, g, err := r.book.Open(now, q)
	if err != nil {
		return Grant{}, err
	}
	if o.ID == 0 { // reserved: the table will ask
		return g, nil
	}
	if o.Limits != nil {
		for _, s := range o.Sockets {
			r.hold(s, 1)
		}
	}
	r.order(func(now time.Time) { r.table.Open(now, o) })
	return g, nil
}

// reserved and bind are the Book's, for the table.
func (r *Relay) reserved(now time.Time, socket int, tag []byte) (Order, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.book.Reserved(now, socket, tag)
}

func (r *Relay) bind(now time.Time, o *Order) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.book.Bind(now, o)
}

// ErrStopped is the error of Open after Serve has ended.
var ErrStopped = errors.New("splice: the relay has stopped")

func (r *Relay) hold(socket int, by int32) {
	if s := (*r.shared.Load())[r.writers[socket].LocalAddr()]; s != nil {
		s.live.Add(by)
	}
}

// Gone tells that a peer's NetConnection ended.
func (r *Relay) Gone(p flash.PeerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order(func(now time.Time) { r.table.Gone(now, p) })
}

// Moved tells that a peer's NetConnection has proven a new address.
func (r *Relay) Moved(p flash.PeerID, addr netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order(func(time.Time) { r.table.Moved(p, addr) })
}

// End ends a splice, if there is one with that ID.
func (r *Relay) End(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order(func(now time.Time) { r.table.End(now, id) })
}

// List tells of the live splices, which it waits for, or for ctx.
func (r *Relay) List(ctx context.Context) ([]Live, error) {
	list := make(chan []Live, 1)
	r.mu.Lock()
	if r.finished {
		r.mu.Unlock()
		return nil, ErrStopped
	}
	r.order(func(now time.Time) {
		l := r.table.List(now)
		for i := range l {
			for side, s := range l[i].Sockets {
				l[i].Relay[side] = r.writers[s].LocalAddr()
			}
		}
		list <- l
	})
	r.mu.Unlock()
	select {
	case l := <-list:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// order leaves something for the table; mu is held.
func (r *Relay) order(f func(now time.Time)) {
	if r.finished {
		return
	}
	r.orders = append(r.orders, f)
	r.waiting.Store(true)
	r.inlet.Wake()
}

// Stats are the counters of table and book, the table's as of its last turn.
func (r *Relay) Stats() (Stats, BookStats) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.serving {
		r.order(func(time.Time) {})
	}
	s := r.stats
	s.Drops[DropInbox] += r.inbox.lost.Load()
	return s, r.book.Stats(now)
}

// Serve relays until ctx ends or a socket fails, whose error it returns.
func (r *Relay) Serve(ctx context.Context) error {
	r.mu.Lock()
	r.serving = true
	r.mu.Unlock()
	unwatch := context.AfterFunc(ctx, r.inlet.Wake)
	var err error
	take := r.take // one allocation, not one for each turn
	for ctx.Err() == nil && err == nil {
		err = r.inlet.Wait(r.untilDeadline(), take)
		now := time.Now()
		r.obey(now)
		r.inbox.take(func(socket int, d udp.Datagram) {
			r.table.Receive(now, socket, d)
			r.table.Flush(r.send)
		})
		r.table.Advance(now)
		r.settle(now)
	}
	unwatch()
	if err == nil {
		err = r.inlet.Wait(0, r.take) // what came before the end
	}
	now := time.Now()
	r.obey(now)
	r.table.Stop(now)
	r.settle(now)
	r.mu.Lock()
	r.finished, r.serving = true, false
	r.mu.Unlock()
	for _, w := range r.writers {
		if w != nil {
			err = errors.Join(err, w.Close())
		}
	}
	r.inlet.Close()
	return err
}

func (r *Relay) untilDeadline() time.Duration {
	if r.waiting.Load() || !r.inbox.empty() {
		return 0
	}
	at := r.table.Deadline()
	if at.IsZero() {
		return time.Hour
	}
	return max(0, time.Until(at))
}

// obey carries out what others have ordered: before any packet that may depend on
// it.
func (r *Relay) obey(now time.Time) {
	if !r.waiting.Load() {
		return
	}
	r.mu.Lock()
	orders := r.orders
	r.orders = nil
	r.waiting.Store(false)
	r.stats = r.table.Stats()
	r.mu.Unlock()
	for _, f := range orders {
		f(now)
	}
	r.table.Flush(r.send)
}

func (r *Relay) take(socket int, batch []udp.Datagram) {
	now := time.Now()
	r.obey(now)
	n := r.read[socket]
	if n < 0 {
		return // it was withdrawn just now
	}
	for i := range batch {
		r.table.Receive(now, n, batch[i])
	}
	r.table.Flush(r.send)
}

// send hands datagrams to their sockets, those that follow each other at once.
func (r *Relay) send(out []Output) {
	for len(out) > 0 {
		n := 1
		for n < len(out) && out[n].Socket == out[0].Socket {
			n++
		}
		for i := range out[:n] {
			r.outbox = append(r.outbox, out[i].Datagram)
		}
		if w := r.writers[out[0].Socket]; w != nil {
			_, _ = w.WriteBatch(r.outbox) // it counts what the kernel refused
		}
		clear(r.outbox)
		r.outbox = r.outbox[:0]
		out = out[n:]
	}
}

// settle tells the book, and who wants to know, what has ended.
func (r *Relay) settle(now time.Time) {
	r.table.Flush(r.send)
	if began := r.table.TakeBegan(); r.cfg.Began != nil {
		for _, b := range began {
			r.cfg.Began(b)
		}
	}
	ended := r.table.TakeEnded()
	if len(ended) == 0 {
		return
	}
	r.mu.Lock()
	for i := range ended {
		sockets := r.book.Ended(now, &ended[i])
		ended[i].Standing = len(sockets) == 0
		for _, s := range sockets {
			r.hold(s, -1)
		}
	}
	r.stats = r.table.Stats()
	r.mu.Unlock()
	if r.cfg.Ended != nil {
		for i := range ended {
			r.cfg.Ended(ended[i])
		}
	}
}
