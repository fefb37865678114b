package udp

import (
	"errors"
	"syscall"
)

// WriteWhole sends one datagram in one piece or not at all, whatever the system believes the path's MTU
// to be: the far end can then tell how long a packet gets through. It is a write like WriteBatch, for
// the same goroutine; writes at the same time by Send may get the same treatment.
func (c *Conn) WriteWhole(d Datagram) error {
	if err := DontFragment(c.socket); err != nil {
		return err
	}
	_, err := c.WriteBatch([]Datagram{d})
	return errors.Join(err, setFragmentation(c.socket, fragmentAsUsual))
}

// DontFragment has every packet of a socket go out as it is or not at all.
func DontFragment(conn syscall.Conn) error { return setFragmentation(conn, fragmentNever) }

// MayFragment has packets longer than the interface's MTU go out in pieces, and routers cut them further.
func MayFragment(conn syscall.Conn) error { return setFragmentation(conn, fragmentAlways) }

// setFragmentation sets it for both families: a socket has one or both.
func setFragmentation(conn syscall.Conn, value int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) {
		err4, err6 := setFragmentationOf(fd, value)
		if err4 != nil && err6 != nil {
			err = err4
		}
	})
	return errors.Join(failed, err)
}
