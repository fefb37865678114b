package udp

import (
	"errors"
	"net/netip"
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

// pollInlet reads on its caller's own goroutine.
type pollInlet struct {
	poller  *Poller
	conns   []*Conn
	landing *landing
}

func (in *pollInlet) Wait(d time.Duration, take func(int, []Datagram)) error {
	var failed error
	arrived := 0
	err := in.poller.Wait(d, func(socket int) {
		d, err := in.conns[socket].land(in.landing)
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

func (in *pollInlet) Wake()  { in.poller.Wake() }
func (in *pollInlet) Close() { in.poller.Close() }

// readInlet has a goroutine read each socket.
type readInlet struct {
	arrived chan *batch
	failed  chan error
	woken   chan struct{}
	ended   chan struct{}
	readers sync.WaitGroup
}

// A batch is what one read brought. Each reader has batchesPerSocket of them, so
// it can fill one while their owner works on another; when that is behind, the
// kernel's buffer queues and drops.
type batch struct {
	socket int
	d      []Datagram
	n      int
	free   chan *batch
}

const batchesPerSocket = 2

func newReadInlet(sockets []Socket, size int) *readInlet {
	in := &readInlet{
		arrived: make(chan *batch, len(sockets)),
		failed:  make(chan error, len(sockets)),
		woken:   make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
	each := inletBatch
	if len(sockets) > manySockets {
		each = 1
	}
	for i, s := range sockets {
		in.readers.Go(func() { in.failed <- in.read(i, s, each, size) })
	}
	return in
}

func (in *readInlet) read(socket int, s Socket, each, size int) error {
	free := make(chan *batch, batchesPerSocket)
	for range batchesPerSocket {
		free <- &batch{socket: socket, d: newBatch(each, size), free: free}
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
		take(b.socket, b.d[:b.n])
		b.free <- b
	case <-in.woken:
	case <-timer.C:
	case err := <-in.failed:
		return err
	}
	return nil
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
