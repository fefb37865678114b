package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mmsg moves a batch per system call, without allocation.
type mmsg struct {
	socket  syscall.RawConn
	in      *inbound
	out     *outbound
	segment bool // the kernel cuts runs
	offer   offer
	v6      bool
	counts  *counters

	merging merging
	merged  bool // UDP_GRO is on
}

func newBatcher(socket *net.UDPConn, local netip.AddrPort, counts *counters) (batcher, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	return newMmsg(raw, local, counts, newInbound(), newOutbound()), nil
}

func newMmsg(socket syscall.RawConn, local netip.AddrPort, counts *counters, in *inbound, out *outbound) *mmsg {
	return &mmsg{
		socket: socket, in: in, out: out, segment: canSegment(socket), offer: offer{slots: 1}, v6: local.Addr().Is6(), counts: counts,
	}
}

func (m *mmsg) read(d []Datagram) (int, error) {
	d = d[:min(len(d), m.offer.slots)]
	m.in.grow(len(d))
	for i := range d {
		m.in.offer(i, d[i].Data[:cap(d[i].Data)])
	}
	n, err := m.in.read(m.socket, len(d))
	if err != nil {
		return 0, err
	}
	m.offer.adapt(n)
	kept := 0
	for i := range n {
		length, whole := m.in.length(i)
		if !whole {
			m.counts.oversize.Add(1)
			continue
		}
		// A dropped datagram's slot takes the next one's array and gives it its own, so that no two
		// slots ever share one.
		if kept != i {
			d[kept].Data, d[i].Data = d[i].Data, d[kept].Data
		}
		d[kept].Data = d[kept].Data[:length]
		d[kept].Peer = m.in.sources[i].addrPort(&m.in.zones)
		d[kept].TOS, _ = m.in.control(i)
		kept++
	}
	return kept, nil
}

func (m *mmsg) write(d []Datagram) (int, error) {
	n, err := m.writeRuns(d, m.segment)
	if n > 0 || err == nil || !m.segment || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	first := run(d)
	if first == 1 {
		return n, err
	}
	// Perhaps its segments are longer than the path takes in one piece, which is no fault of a datagram.
	if errors.Is(err, unix.EIO) {
		m.segment = false // the device computes no checksums, and will not
	}
	return m.writeRuns(d[:first], false)
}

// writeRuns is write, with datagrams put together if segment says so.
func (m *mmsg) writeRuns(d []Datagram, segment bool) (int, error) {
	m.out.begin(len(d))
	for len(d) > 0 {
		n := 1
		if segment {
			n = run(d)
		}
		m.out.add(d[:n], m.v6)
		d = d[n:]
	}
	return m.out.write(m.socket)
}
