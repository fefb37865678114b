package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A counter counts the packets of a load that come to a device. A packet socket
// with a filter sees them before IP does; its buffer has room for none, and what
// it drops it counts. That takes neither a copy nor a system call for a packet.
type counter struct {
	fd      int
	device  string
	payload int // bytes of UDP payload
	mark    int // where in that the mark is
	stats   *os.File
	before  received
}

// newCounter is called in the namespace of the device.
func newCounter(device string, payload, mark int) (c *counter, err error) {
	in, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	c = &counter{device: device, payload: payload, mark: mark}
	// Statistics of the namespace of this thread, for as long as the file is open.
	if c.stats, err = os.Open("/proc/thread-self/net/dev"); err != nil {
		return nil, err
	}
	// Protocol 0 until there is a filter.
	if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		_ = c.stats.Close()
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0), // the least there can be
		c.filter(0),
		unix.Bind(c.fd, &unix.SockaddrLinklayer{Ifindex: in.Index, Protocol: networkOrder(unix.ETH_P_IP)}),
	)
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *counter) close() {
	if c == nil || c.fd < 0 {
		return
	}
	_ = unix.Close(c.fd)
	_ = c.stats.Close()
	c.fd = -1
}

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

// begin counts packets with this mark from now on.
func (c *counter) begin(mark uint64) (err error) {
	if err = c.filter(mark); err != nil {
		return err
	}
	c.take()
	c.before, err = c.received()
	return err
}

// filter lets pass, as far as to where it is counted, a UDP packet of the right
// length with the mark. Such sockets see packets from their IP header on.
func (c *counter) filter(mark uint64) error {
	at := uint32(udpHeaders + c.mark)
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(udpHeaders + c.payload), SkipFalse: 7},
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipFalse: 5},
		bpf.LoadAbsolute{Off: at, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(mark >> 32), SkipFalse: 3},
		bpf.LoadAbsolute{Off: at + 4, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(mark), SkipFalse: 1},
		bpf.RetConstant{Val: 1},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(raw)), Filter: (*unix.SockFilter)(unsafe.Pointer(&raw[0]))}
	return unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
}

// take returns how many have come since it was last called.
func (c *counter) take() int {
	s, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return int(s.Packets) // those dropped are among them
}

// received is what a device has received.
type received struct{ bytes, packets int }

// received reads the statistics of the device, which has its packets counted as
// they cross the cable.
func (c *counter) received() (r received, err error) {
	b, err := io.ReadAll(io.NewSectionReader(c.stats, 0, 1<<16))
	if err != nil {
		return r, err
	}
	for line := range bytes.Lines(b) {
		name, figures, ok := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		fields := bytes.Fields(figures)
		if !ok || string(name) != c.device || len(fields) < 2 {
			continue
		}
		r.bytes, err = strconv.Atoi(string(fields[0]))
		if err == nil {
			r.packets, err = strconv.Atoi(string(fields[1]))
		}
		return r, err
	}
	return r, fmt.Errorf("no device %s in /proc/net/dev", c.device)
}

// mean is how many bytes came in one piece since begin.
func (c *counter) mean() (float64, error) {
	r, err := c.received()
	if err != nil || r.packets == c.before.packets {
		return 0, err
	}
	return float64(r.bytes-c.before.bytes) / float64(r.packets-c.before.packets), nil
}
