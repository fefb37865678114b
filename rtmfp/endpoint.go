package rtmfp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"pileus/rtmfp/udp"
)

// Socket is what an endpoint needs of a *udp.Conn; tests run on sockets in
// memory.
type Socket = udp.Socket

// Endpoint drives one engine over UDP sockets: one goroutine owns the engine and
// a few do public-key work.
type Endpoint struct {
	engine *Engine
	conns  []Socket // as the inlet counts them; nil: removed
	grace  time.Duration
	inlet  udp.Inlet

	work     chan *Job
	finished chan *Job
	workers  int
	jobs     int // handed to workers and not taken back yet; the loop's
	took     int // datagrams of this turn
	full     int // turns one after the other in which more waited
	calls    chan func()
	stopping bool
	done     chan struct{} // closed when Serve has returned
	kill     chan struct{} // closed by Close
	once     sync.Once

	first  []netip.AddrPort       // of the conns at the start
	index  map[netip.AddrPort]int // of conns
	outbox [][]udp.Datagram       // by socket
	filled []int                  // sockets with something in their outbox
}

// jobsAhead is how many jobs are handed over for each worker at a time: so many that none
// is idle while the engine's goroutine reads a burst, and few, for they go by age.
const jobsAhead = 4

// maxCalls bounds the calls of Do that wait; more of them block their callers.
const maxCalls = 64

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
	in, err := udp.NewInlet(conns, MaxReceive)
	if err != nil {
		return nil, err
	}
	index, first := make(map[netip.AddrPort]int, len(conns)), make([]netip.AddrPort, len(conns))
	for i, c := range conns {
		first[i] = c.LocalAddr()
		index[first[i]] = i
	}
	workers := max(1, runtime.GOMAXPROCS(0)-1)
	return &Endpoint{
		index: index, first: first, engine: e, conns: slices.Clone(conns), grace: grace, inlet: in,
		workers:  workers,
		finished: make(chan *Job, workers*jobsAhead),
		work:     make(chan *Job, workers*jobsAhead),
		calls:    make(chan func(), maxCalls),
		done:     make(chan struct{}),
		kill:     make(chan struct{}),
		outbox:   make([][]udp.Datagram, len(conns)),
	}, nil
}

// Serve runs the endpoint until ctx ends and its sessions are closed, or until
// Close, or until a socket fails, whose error it returns.
func (ep *Endpoint) Serve(ctx context.Context) error {
	var workers sync.WaitGroup
	for range ep.workers {
		workers.Go(ep.runJobs)
	}
	unwatch := context.AfterFunc(ctx, ep.inlet.Wake)
	err := ep.loop(ctx)
	unwatch()
	close(ep.done)
	for _, c := range ep.conns {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	close(ep.work)
	workers.Wait()
	ep.inlet.Close()
	return err
}

// Close ends Serve at once, without telling the far ends, and waits for it.
func (ep *Endpoint) Close() {
	ep.once.Do(func() {
		close(ep.kill)
		ep.inlet.Wake()
	})
	<-ep.done
}

// Do runs f on the engine's goroutine and waits for it. It must not be called
// from there. The error unwraps to net.ErrClosed if the endpoint has ended.
func (ep *Endpoint) Do(f func(*Engine)) error {
	ran := make(chan struct{})
	select {
	case ep.calls <- func() { f(ep.engine); close(ran) }:
		ep.inlet.Wake()
	case <-ep.done:
		return errEnded
	}
	select {
	case <-ran:
		return nil
	case <-ep.done:
		return errEnded
	}
}

var errEnded = fmt.Errorf("rtmfp: endpoint: %w", net.ErrClosed)

// Addrs are the addresses of the sockets that NewEndpoint was given.
func (ep *Endpoint) Addrs() []netip.AddrPort { return ep.first }

func (ep *Endpoint) runJobs() {
	for {
		select {
		case j, ok := <-ep.work:
			if !ok {
				return
			}
			ep.runJob(j)
			continue
		default:
		}
		// Idle time goes into key pairs for handshakes to come.
		if refill := ep.engine.Refill(); refill != nil {
			refill()
			runtime.Gosched()
			continue
		}
		j, ok := <-ep.work
		if !ok {
			return
		}
		ep.runJob(j)
	}
}

func (ep *Endpoint) runJob(j *Job) {
	j.Run()
	ep.finished <- j // never full: no more are out at a time
	ep.inlet.Wake()
	runtime.Gosched() // on a single processor the engine's turn comes after one job
}

// loop is the one owner of the engine.
func (ep *Endpoint) loop(ctx context.Context) error {
	var graceEnds time.Time
	take := ep.take // one allocation, not one for each turn
	for {
		wait := ep.untilDeadline()
		if ep.stopping {
			wait = min(wait, time.Until(graceEnds))
		}
		if ep.jobs > 0 && ep.lets() {
			runtime.Gosched()
		}
		ep.took = 0
		if err := ep.inlet.Wait(wait, take); err != nil {
			return err
		}
		now := time.Now()
		ep.engine.Advance(now)
		ep.runCalls(now)
		if ctx.Err() != nil && !ep.stopping {
			ep.stopping, graceEnds = true, now.Add(ep.grace)
			ep.engine.CloseAll()
		}
		ep.engine.Flush(ep.send)
		ep.handJobs()
		switch {
		case ep.killed(), ep.stopping && (ep.engine.quiet() || !time.Now().Before(graceEnds)):
			return nil
		}
	}
}

const (
	// fullTurn is how many datagrams show that more wait to be read, and fullTurns after
	// how many such turns the workers have theirs all the same.
	fullTurn  = 32
	fullTurns = 8
)

// lets reports whether it is the workers' turn, who on a single processor need this one. A
// job takes as long as reading hundreds of datagrams: under a flood those would wait in the
// socket, honest ones among them.
func (ep *Endpoint) lets() bool {
	if ep.took < fullTurn || ep.full == fullTurns {
		ep.full = 0
		return true
	}
	ep.full++
	return false
}

// handJobs has the workers do what is next.
func (ep *Endpoint) handJobs() {
	for ep.jobs < cap(ep.work) {
		j := ep.engine.NextJob()
		if j == nil {
			return
		}
		ep.jobs++
		ep.work <- j
	}
}

func (ep *Endpoint) untilDeadline() time.Duration {
	at := ep.engine.Deadline()
	if at.IsZero() {
		return time.Hour
	}
	return time.Until(at)
}

func (ep *Endpoint) killed() bool {
	select {
	case <-ep.kill:
		return true
	default:
		return false
	}
}

// runCalls runs what workers and other goroutines have left for the engine.
func (ep *Endpoint) runCalls(now time.Time) {
	for {
		select {
		case j := <-ep.finished:
			ep.jobs--
			ep.engine.Finish(now, j)
		case f := <-ep.calls:
			f()
		default:
			return
		}
	}
}

func (ep *Endpoint) take(socket int, batch []udp.Datagram) {
	ep.took += len(batch)
	now, local := time.Now(), ep.conns[socket].LocalAddr()
	for i := range batch {
		d := &batch[i]
		ep.engine.Receive(now, Datagram{Local: local, Peer: d.Peer, TOS: d.TOS, Data: d.Data})
	}
}

// send sorts datagrams by socket. One that no socket can send is lost, as any
// datagram may be; the sockets count what the kernel refused.
func (ep *Endpoint) send(out []Datagram) {
	for i := range out {
		n := ep.socket(&out[i])
		if n < 0 {
			continue
		}
		if len(ep.outbox[n]) == 0 {
			ep.filled = append(ep.filled, n)
		}
		ep.outbox[n] = append(ep.outbox[n], udp.Datagram{Peer: out[i].Peer, TOS: out[i].TOS, Data: out[i].Data})
	}
	for _, n := range ep.filled {
		box := ep.outbox[n]
		_, _ = ep.conns[n].WriteBatch(box) // closed: the inlet says so
		clear(box)
		ep.outbox[n] = box[:0]
	}
	ep.filled = ep.filled[:0]
}

// socket is the index of the one that d leaves by; -1 if there is none.
func (ep *Endpoint) socket(d *Datagram) int {
	if d.Local.IsValid() {
		if c := ep.conns[0]; c != nil && c.LocalAddr() == d.Local {
			return 0 // nearly always
		}
		if n, ok := ep.index[d.Local]; ok {
			return n
		}
		return -1
	}
	for n, c := range ep.conns {
		if c != nil && c.LocalAddr().Addr().Is4() == d.Peer.Addr().Is4() {
			return n
		}
	}
	return -1
}
