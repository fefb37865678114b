package udp

import (
	"encoding/binary"
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
func canSegment(socket syscall.RawConn) bool {
	can := false
	err := socket.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		can = err == nil
	})
	return err == nil && can
}

// sendControl has room, and the alignment, for the control messages of one datagram or run: a TOS and a
// length of segments.
type sendControl [6]uint64

// set puts into h what tos asks for, unless it is 0, the default of sockets; and size, unless it is 0.
func (c *sendControl) set(h *unix.Msghdr, tos uint8, size int, v6 bool) {
	if tos == 0 && size == 0 {
		h.Control = nil
		h.SetControllen(0)
		return
	}
	b := (*[unsafe.Sizeof(sendControl{})]byte)(unsafe.Pointer(c))
	used := 0
	if tos != 0 {
		level, option := int32(unix.IPPROTO_IP), int32(unix.IP_TOS)
		if v6 {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
		}
		m := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		m.Level, m.Type = level, option
		m.SetLen(unix.CmsgLen(4))
		binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], uint32(tos))
		used = unix.CmsgSpace(4)
	}
	if size != 0 {
		m := (*unix.Cmsghdr)(unsafe.Pointer(&b[used]))
		m.Level, m.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		m.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(b[used+unix.CmsgLen(0):], uint16(size))
		used += unix.CmsgSpace(2)
	}
	h.Control = &b[0]
	h.SetControllen(used)
}
