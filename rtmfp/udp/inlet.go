package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Socket is what an Inlet reads: a *Conn, or in tests one in memory.
type Socket interface {
	LocalAddr() netip.AddrPort
	ReadBatch(d []Datagram) (n int, err error)
	WriteBatch(d []Datagram) (n int, err error)
	Close() error
}

// An Inlet brings the datagrams of several sockets to one goroutine.
type Inlet interface {
	// Wait blocks for d, or until Wake, or until datagrams have come, and has take
	// called with each batch of them and the index of their socket. The batch is
	// valid during the call only.
	Wait(d time.Duration, take func(socket int, d []Datagram)) error
	// Add reads one more socket, whose index it returns: the lowest that is free. Remove closes one, and
	// frees its index. Both are for the goroutine that waits, which may be within take.
	Add(s Socket) (socket int, err error)
	Remove(socket int)
	// Wake ends a Wait; from any goroutine.
	Wake()
	// Close ends what the inlet started; the sockets are closed already.
	Close()
}

const (
	// inletBatch is how many datagrams are read at a time, or more that the kernel has put together.
	inletBatch = 64
	// manySockets, read by a goroutine each, get room for one datagram at a time.
	manySockets = 32
)

// NewInlet reads sockets from now on, each datagram up to size bytes. It prefers
// one poller for all of them, where there is one: then their writes, too, have to
// come from the goroutine that waits.
func NewInlet(sockets []Socket, size int) (Inlet, error) {
	var conns []*Conn
	for _, s := range sockets {
		if c, ok := s.(*Conn); ok {
			conns = append(conns, c)
		}
	}
	if len(conns) == len(sockets) {
		p, err := NewPoller(conns)
		if err == nil {
			return &pollInlet{poller: p, conns: conns, landing: newLanding(size)}, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	return newReadInlet(sockets, size), nil
}

func newBatch(n, size int) []Datagram {
	return cut(make([]byte, n*size), n, size)
}

// cut makes slots for n datagrams of space.
func cut(space []byte, n, size int) []Datagram {
	d := make([]Datagram, n)
	for i := range d {
		d[i].Data, space = space[:size:size], space[size:]
	}
	return d
}

// seat is the first free place for a socket, which may be the next.
func seat[T comparable](sockets []T) int {
	var free T
	if i := slices.Index(sockets, free); i >= 0 {
		return i
	}
	return len(sockets)
}

// sit puts a socket into its place.
func sit[T any](sockets []T, i int, s T) []T {
	if i == len(sockets) {
		return append(sockets, s)
	}
	sockets[i] = s
	return sockets
}

// pollInlet reads on its caller's own goroutine.
type pollInlet struct {
	poller  *Poller
	conns   []*Conn // nil: removed
	landing *landing
}

func (in *pollInlet) Wait(d time.Duration, take func(int, []Datagram)) error {
	var failed error
	arrived := 0
	err := in.poller.Wait(d, func(socket int) {
		c := in.conns[socket]
		if c == nil {
			return
		}
		d, err := c.land(in.landing)
		if err != nil {
			failed = err
			return
		}
		if len(d) > 0 {
			arrived += len(d)
			take(socket, d)
		}
	})
	in.poller.Arrived(time.Now(), arrived)
	return errors.Join(err, failed)
}

func (in *pollInlet) Add(s Socket) (int, error) {
	c, ok := s.(*Conn)
	if !ok {
		return -1, fmt.Errorf("udp: %T beside sockets of a poller: %w", s, errors.ErrUnsupported)
	}
	i := seat(in.conns)
	if err := in.poller.Add(c, i); err != nil {
		return -1, err
	}
	in.conns = sit(in.conns, i, c)
	return i, nil
}

func (in *pollInlet) Remove(socket int) {
	in.poller.Remove(in.conns[socket])
	_ = in.conns[socket].Close()
	in.conns[socket] = nil
}

func (in *pollInlet) Wake()  { in.poller.Wake() }
func (in *pollInlet) Close() { in.poller.Close() }

// readInlet has a goroutine read each socket.
type readInlet struct {
	sockets []Socket // nil: removed
	size    int
	arrived chan *batch
	failed  chan failure
	woken   chan struct{}
	ended   chan struct{}
	readers sync.WaitGroup
}

// A batch is what one read brought. Each reader has batchesPerSocket of them, so
// it can fill one while their owner works on another; when that is behind, the
// kernel's buffer queues and drops.
type batch struct {
	index  int
	socket Socket
	d      []Datagram
	n      int
	free   chan *batch
}

// A failure is the end of a reader.
type failure struct {
	index  int
	socket Socket
	err    error
}

const batchesPerSocket = 2

func newReadInlet(sockets []Socket, size int) *readInlet {
	in := &readInlet{
		sockets: slices.Clone(sockets),
		size:    size,
		arrived: make(chan *batch, len(sockets)),
		failed:  make(chan failure),
		woken:   make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
	for i, s := range sockets {
		in.start(i, s)
	}
	return in
}

// writePatience is how long a socket's writer, who is the one that waits, may be held up.
const writePatience = 5 * time.Millisecond

func (in *readInlet) start(i int, s Socket) {
	if c, ok := s.(*Conn); ok {
		c.patience = writePatience
	}
	each := inletBatch
	if len(in.sockets) > manySockets {
		each = 1
	}
	in.readers.Go(func() {
		err := in.read(i, s, each)
		select {
		case in.failed <- failure{i, s, err}:
		case <-in.ended:
		}
	})
}

func (in *readInlet) read(i int, s Socket, each int) error {
	free := make(chan *batch, batchesPerSocket)
	for range batchesPerSocket {
		free <- &batch{index: i, socket: s, d: newBatch(each, in.size), free: free}
	}
	for {
		b := <-free
		n, err := s.ReadBatch(b.d)
		if err != nil {
			return err
		}
		b.n = n
		select {
		case in.arrived <- b:
		case <-in.ended:
			return nil
		}
	}
}

func (in *readInlet) Wait(d time.Duration, take func(int, []Datagram)) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case b := <-in.arrived:
		if in.sockets[b.index] == b.socket { // else it was removed meanwhile
			take(b.index, b.d[:b.n])
		}
		b.free <- b
	case <-in.woken:
	case <-timer.C:
	case f := <-in.failed:
		if in.sockets[f.index] == f.socket {
			return f.err
		}
	}
	return nil
}

func (in *readInlet) Add(s Socket) (int, error) {
	i := seat(in.sockets)
	in.sockets = sit(in.sockets, i, s)
	in.start(i, s)
	return i, nil
}

func (in *readInlet) Remove(socket int) {
	_ = in.sockets[socket].Close()
	in.sockets[socket] = nil
}

func (in *readInlet) Wake() {
	select {
	case in.woken <- struct{}{}:
	default:
	}
}

func (in *readInlet) Close() {
	close(in.ended)
	in.readers.Wait()
}
