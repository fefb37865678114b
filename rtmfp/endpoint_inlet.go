package rtmfp

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"pileus/rtmfp/udp"
)

// batchSize is how many datagrams are read at a time.
const batchSize = 64

// newInlet prefers one poller for all sockets, where there is one.
func newInlet(conns []Socket) (inlet, error) {
	var sockets []*udp.Conn
	for _, c := range conns {
		if u, ok := c.(*udp.Conn); ok {
			sockets = append(sockets, u)
		}
	}
	if len(sockets) == len(conns) {
		p, err := udp.NewPoller(sockets)
		if err == nil {
			return &pollInlet{poller: p, batch: newBatch()}, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	return newReadInlet(conns), nil
}

func newBatch() []udp.Datagram {
	d := make([]udp.Datagram, batchSize)
	space := make([]byte, batchSize*MaxReceive)
	for i := range d {
		d[i].Data, space = space[:MaxReceive:MaxReceive], space[MaxReceive:]
	}
	return d
}

// pollInlet reads on the engine's own goroutine.
type pollInlet struct {
	poller *udp.Poller
	batch  []udp.Datagram
}

func (in *pollInlet) wait(d time.Duration, take func(netip.AddrPort, []udp.Datagram)) error {
	var failed error
	arrived := 0
	err := in.poller.Wait(d, func(c *udp.Conn) {
		n, err := c.ReadReady(in.batch)
		if err != nil {
			failed = err
			return
		}
		arrived += n
		take(c.LocalAddr(), in.batch[:n])
	})
	in.poller.Arrived(time.Now(), arrived)
	return errors.Join(err, failed)
}

func (in *pollInlet) wake()  { in.poller.Wake() }
func (in *pollInlet) close() { in.poller.Close() }

// readInlet has a goroutine read each socket.
type readInlet struct {
	arrived chan *batch
	failed  chan error
	woken   chan struct{}
	ended   chan struct{}
	readers sync.WaitGroup
}

// A batch is what one read brought. Each reader has batchesPerSocket of them, so
// it can fill one while the engine works on another; when the engine is behind,
// the kernel's buffer queues and drops.
type batch struct {
	conn Socket
	d    []udp.Datagram
	n    int
	free chan *batch
}

const batchesPerSocket = 2

func newReadInlet(conns []Socket) *readInlet {
	in := &readInlet{
		arrived: make(chan *batch, len(conns)),
		failed:  make(chan error, len(conns)),
		woken:   make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
	for _, c := range conns {
		in.readers.Go(func() { in.failed <- in.read(c) })
	}
	return in
}

func (in *readInlet) read(c Socket) error {
	free := make(chan *batch, batchesPerSocket)
	for range batchesPerSocket {
		free <- &batch{conn: c, d: newBatch(), free: free}
	}
	for {
		b := <-free
		n, err := c.ReadBatch(b.d)
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

func (in *readInlet) wait(d time.Duration, take func(netip.AddrPort, []udp.Datagram)) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case b := <-in.arrived:
		take(b.conn.LocalAddr(), b.d[:b.n])
		b.free <- b
	case <-in.woken:
	case <-timer.C:
	case err := <-in.failed:
		return err
	}
	return nil
}

func (in *readInlet) wake() {
	select {
	case in.woken <- struct{}{}:
	default:
	}
}

func (in *readInlet) close() {
	close(in.ended)
	in.readers.Wait()
}
