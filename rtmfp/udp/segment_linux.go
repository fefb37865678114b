package udp

import (
	"encoding/binary"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A run is datagrams in a row that the kernel takes as one piece and cuts itself, at the last moment
// (UDP_SEGMENT of udp(7)): same peer, same TOS, and same size but for the last, which may be shorter. Its
// way through the network stack is walked once. Datagrams that alternate make no runs, and pay a
// comparison.
const (
	// maxRun is UDP_MAX_SEGMENTS of the first kernels that had it.
	maxRun = 64
	// maxRunBytes fits an IP packet, whatever its version.
	maxRunBytes = 65535 - 40 - 8
)

// run returns how many datagrams the one that d begins with has.
func run(d []Datagram) int {
	size := len(d[0].Data)
	total := size
	n := 1
	for n < min(len(d), maxRun) {
		next := &d[n]
		total += len(next.Data)
		if len(next.Data) == 0 || len(next.Data) > size || total > maxRunBytes || next.Peer != d[0].Peer || next.TOS != d[0].TOS {
			break
		}
		n++
		if len(next.Data) < size {
			break
		}
	}
	return n
}

// canSegment asks the kernel. One that does not know the option would ignore the control message, and
// send a run as one large datagram.
func canSegment(socket net.PacketConn) bool {
	c, ok := socket.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	can := false
	err = raw.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		can = err == nil
	})
	return err == nil && can
}

// sendControl has room for the control messages of one datagram or run.
type sendControl struct {
	tos     tosControl
	both    []byte // TOS, then segment size
	segment []byte // the second of both
}

func newSendControl(v6 bool) sendControl {
	c := sendControl{tos: newTOSControl(v6)}
	n := len(c.tos.b)
	c.both = append(c.tos.b, make([]byte, unix.CmsgSpace(2))...)
	c.tos.b, c.segment = c.both[:n:n], c.both[n:]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c.segment[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	return c
}

// set returns the messages for tos and, unless it is 0, a size of segments.
func (c *sendControl) set(tos uint8, size int) []byte {
	b := c.tos.set(tos)
	if size == 0 {
		return b
	}
	binary.NativeEndian.PutUint16(c.segment[unix.CmsgLen(0):], uint16(size))
	if b == nil {
		return c.segment
	}
	return c.both
}
