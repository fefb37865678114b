//go:build !linux

package udp

import (
	"errors"
	"fmt"
	"time"
)

// A Poller waits for several sockets at once. Only Linux has one.
type Poller struct{}

// NewPoller fails with errors.ErrUnsupported: read each socket from a goroutine.
func NewPoller([]*Conn) (*Poller, error) {
	return nil, fmt.Errorf("udp: poller: %w", errors.ErrUnsupported)
}

// Add is never reached.
func (*Poller) Add(*Conn, int) error { return errors.ErrUnsupported }

// Remove is never reached.
func (*Poller) Remove(*Conn) {}

// Wait is never reached.
func (*Poller) Wait(time.Duration, func(int)) error { return errors.ErrUnsupported }

// Arrived is never reached.
func (*Poller) Arrived(time.Time, int) {}

// Wake is never reached.
func (*Poller) Wake() {}

// Close is never reached.
func (*Poller) Close() {}

// ReadReady is never reached.
func (*Conn) ReadReady([]Datagram) (int, error) { return 0, errors.ErrUnsupported }

type landing struct{}

func newLanding(int) *landing { return nil }

func (*Conn) land(*landing) ([]Datagram, error) { return nil, errors.ErrUnsupported }

// Twin returns a second handle to the socket, to send from another goroutine. It
// has its own buffers and counters; it is to be closed, too, and not to be read.
func (c *Conn) Twin() (*Conn, error) {
	t := &Conn{socket: c.socket, local: c.local, receive: c.receive, send: c.send, counts: new(counters), patience: writePatience}
	t.closer = func() error { return nil } // the socket is c's
	var err error
	t.batch, err = newBatcher(c.socket, c.local, t.counts)
	return t, err
}
