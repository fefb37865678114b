package rtmfp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"pileus/rtmfp/udp"
)

// Socket is what an endpoint needs of a *udp.Conn; tests run on sockets in
// memory.
type Socket interface {
	LocalAddr() netip.AddrPort
	ReadBatch(d []udp.Datagram) (n int, err error)
	WriteBatch(d []udp.Datagram) (n int, err error)
	Close() error
}

// Endpoint drives one engine over UDP sockets: one goroutine owns the engine,
// one reads each socket, and a few do public-key work.
type Endpoint struct {
	engine *Engine
	conns  []Socket
	grace  time.Duration

	arrived  chan *batch
	finished chan *Job
	work     chan *Job
	calls    chan func()
	done     chan struct{} // closed when Serve has returned
	kill     chan struct{} // closed by Close
	once     sync.Once

	outbox [][]udp.Datagram // by socket
}

// A batch is what one read brought. Each reader has batchesPerSocket of them,
// so it can fill one while the engine works on another; when the engine is
// behind, the kernel's buffer queues and drops.
type batch struct {
	conn Socket
	d    []udp.Datagram
	n    int
	free chan *batch
}

const (
	batchSize        = 64
	batchesPerSocket = 2
)

// NewEndpoint makes an endpoint that owns conns from now on. When the context
// of Serve ends, sessions get grace to close.
func NewEndpoint(c Config, conns []Socket, grace time.Duration) (*Endpoint, error) {
	if len(conns) == 0 {
		return nil, errors.New("rtmfp: an endpoint needs a socket")
	}
	e, err := NewEngine(c, time.Now())
	if err != nil {
		return nil, err
	}
	return &Endpoint{
		engine: e, conns: conns, grace: grace,
		arrived:  make(chan *batch, len(conns)),
		finished: make(chan *Job, maxKeyings+maxOpenings),
		work:     make(chan *Job, maxKeyings+maxOpenings),
		calls:    make(chan func()),
		done:     make(chan struct{}),
		kill:     make(chan struct{}),
		outbox:   make([][]udp.Datagram, len(conns)),
	}, nil
}

// Serve runs the endpoint until ctx ends and its sessions are closed, or until
// Close, or until a socket fails, whose error it returns.
func (ep *Endpoint) Serve(ctx context.Context) error {
	defer close(ep.done)
	failed := make(chan error, len(ep.conns))
	var readers, workers sync.WaitGroup
	for _, c := range ep.conns {
		readers.Go(func() { failed <- ep.read(c) })
	}
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		workers.Go(ep.runJobs)
	}
	err := ep.loop(ctx, failed)
	for _, c := range ep.conns {
		err = errors.Join(err, c.Close())
	}
	close(ep.work)
	readers.Wait()
	workers.Wait()
	return err
}

// Close ends Serve at once, without telling the far ends, and waits for it.
func (ep *Endpoint) Close() {
	ep.once.Do(func() { close(ep.kill) })
	<-ep.done
}

// Do runs f on the engine's goroutine and waits for it. It must not be called
// from there. The error unwraps to net.ErrClosed if the endpoint has ended.
func (ep *Endpoint) Do(f func(*Engine)) error {
	ran := make(chan struct{})
	call := func() { f(ep.engine); close(ran) }
	select {
	case ep.calls <- call:
		<-ran
		return nil
	case <-ep.done:
		return fmt.Errorf("rtmfp: endpoint: %w", net.ErrClosed)
	}
}

// Addrs are the addresses of the sockets.
func (ep *Endpoint) Addrs() []netip.AddrPort {
	addrs := make([]netip.AddrPort, len(ep.conns))
	for i, c := range ep.conns {
		addrs[i] = c.LocalAddr()
	}
	return addrs
}

func (ep *Endpoint) read(c Socket) error {
	free := make(chan *batch, batchesPerSocket)
	for range batchesPerSocket {
		b := &batch{conn: c, d: make([]udp.Datagram, batchSize), free: free}
		space := make([]byte, batchSize*MaxReceive)
		for i := range b.d {
			b.d[i].Data, space = space[:MaxReceive:MaxReceive], space[MaxReceive:]
		}
		free <- b
	}
	for {
		b := <-free
		n, err := c.ReadBatch(b.d)
		if err != nil {
			return err
		}
		b.n = n
		select {
		case ep.arrived <- b:
		case <-ep.done:
			return nil
		}
	}
}

func (ep *Endpoint) runJobs() {
	for {
		select {
		case j, ok := <-ep.work:
			if !ok {
				return
			}
			j.Run()
			ep.finished <- j
			continue
		default:
		}
		// Idle time goes into key pairs for handshakes to come.
		if refill := ep.engine.Refill(); refill != nil {
			refill()
			continue
		}
		j, ok := <-ep.work
		if !ok {
			return
		}
		j.Run()
		ep.finished <- j
	}
}

// loop is the one owner of the engine.
func (ep *Endpoint) loop(ctx context.Context, failed <-chan error) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	stop, stopping := ctx.Done(), false
	var grace <-chan time.Time
	for {
		select {
		case b := <-ep.arrived:
			ep.take(b)
		case j := <-ep.finished:
			ep.engine.Finish(time.Now(), j)
		case f := <-ep.calls:
			ep.engine.Advance(time.Now())
			f()
		case <-timer.C:
			ep.engine.Advance(time.Now())
		case <-stop:
			stop, stopping, grace = nil, true, time.After(ep.grace)
			ep.engine.Advance(time.Now())
			ep.engine.CloseAll()
		case <-grace:
			return nil
		case err := <-failed:
			return err
		case <-ep.kill:
			return nil
		}
		ep.engine.Flush(ep.send)
		for _, j := range ep.engine.TakeJobs() {
			ep.work <- j // never full: the engine bounds its jobs
		}
		if stopping && ep.engine.quiet() {
			return nil
		}
		wait := time.Hour
		if at := ep.engine.Deadline(); !at.IsZero() {
			wait = time.Until(at)
		}
		timer.Reset(wait)
	}
}

func (ep *Endpoint) take(b *batch) {
	now := time.Now()
	local := b.conn.LocalAddr()
	for i := range b.d[:b.n] {
		d := &b.d[i]
		ep.engine.Receive(now, Datagram{Local: local, Peer: d.Peer, TOS: d.TOS, Data: d.Data})
	}
	b.free <- b
}

// send sorts datagrams by socket. One that no socket can send is lost, as any
// datagram may be; the sockets count what the kernel refused.
func (ep *Endpoint) send(out []Datagram) {
	for i := range out {
		if n := ep.socket(&out[i]); n >= 0 {
			ep.outbox[n] = append(ep.outbox[n], udp.Datagram{Peer: out[i].Peer, TOS: out[i].TOS, Data: out[i].Data})
		}
	}
	for n, box := range ep.outbox {
		if len(box) == 0 {
			continue
		}
		_, _ = ep.conns[n].WriteBatch(box) // closed: the reader says so
		clear(box)
		ep.outbox[n] = box[:0]
	}
}

func (ep *Endpoint) socket(d *Datagram) int {
	for n, c := range ep.conns {
		at := c.LocalAddr()
		if at == d.Local || (!d.Local.IsValid() && at.Addr().Is4() == d.Peer.Addr().Is4()) {
			return n
		}
	}
	return -1
}
