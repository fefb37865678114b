package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// mmsg moves a batch per system call. Its message headers are made once and point into the caller's
// buffers only between two calls.
type mmsg struct {
	socket  batchSocket
	in, out []ipv4.Message
	peers   []peerSlot
	marks   []sendControl
	runs    []int // datagrams in each message of out
	segment bool  // the kernel cuts runs
	offer   int   // slots the next read shows to the kernel, at least 1
	burst   int   // datagrams read since a read last emptied the socket
	v6      bool
	counts  *counters
}

// batchSocket is what ipv4.PacketConn and ipv6.PacketConn have in common: their Message is one type.
type batchSocket interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// peerSlot is a destination in the form that x/net takes, reused from batch to batch.
type peerSlot struct {
	addr net.UDPAddr
	ip   [16]byte
}

func newBatcher(socket *net.UDPConn, v6 bool, counts *counters) batcher {
	return newBatcherOn(socket, v6, counts)
}

func newBatcherOn(socket net.PacketConn, v6 bool, counts *counters) batcher {
	m := &mmsg{offer: 1, v6: v6, counts: counts, segment: canSegment(socket)}
	if v6 {
		m.socket = ipv6.NewPacketConn(socket)
	} else {
		m.socket = ipv4.NewPacketConn(socket)
	}
	return m
}

func (m *mmsg) read(d []Datagram) (int, error) {
	d = d[:min(len(d), m.offer)]
	for len(m.in) < len(d) {
		m.in = append(m.in, ipv4.Message{Buffers: make([][]byte, 1), OOB: make([]byte, controlSpace)})
	}
	for i := range d {
		m.in[i].Buffers[0] = d[i].Data[:cap(d[i].Data)]
	}
	n, err := m.socket.ReadBatch(m.in[:len(d)], 0)
	if err != nil {
		return 0, err
	}
	m.adapt(n)
	kept := 0
	for i := range n {
		msg := &m.in[i]
		if msg.Flags&msgTruncated != 0 {
			m.counts.oversize.Add(1)
			continue
		}
		// A dropped datagram's slot takes the next one's array and gives it its own, so that no two
		// slots ever share one.
		d[kept].Data, d[i].Data = d[i].Data, d[kept].Data
		d[kept].Data = d[kept].Data[:msg.N]
		d[kept].Peer = addrPort(msg.Addr)
		d[kept].TOS = parseTOS(msg.OOB[:msg.NN])
		kept++
	}
	return kept, nil
}

// adapt sets the next read's slots after one that filled n. x/net prepares and clears every slot it is
// shown: a lone datagram costs half as much again when 64 are offered, so the offer follows the traffic.
// It doubles until a read empties the socket, and is then what came since the last that did.
func (m *mmsg) adapt(n int) {
	m.burst += n
	if n == m.offer {
		m.offer = min(2*n, maxBatch)
		return
	}
	m.offer = max(1, min(m.burst, maxBatch))
	m.burst = 0
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
	m.growOut(len(d))
	messages := 0
	for i := 0; i < len(d); messages++ {
		msg, peer := &m.out[messages], &m.peers[messages]
		n, size := 1, 0
		if segment {
			if n = run(d[i:]); n > 1 {
				size = len(d[i].Data)
			}
		}
		msg.Buffers = msg.Buffers[:0]
		for _, part := range d[i : i+n] {
			msg.Buffers = append(msg.Buffers, part.Data)
		}
		msg.OOB = m.marks[messages].set(d[i].TOS, size)
		peer.set(d[i].Peer)
		msg.Addr = &peer.addr
		m.runs[messages] = n
		i += n
	}
	n, err := m.socket.WriteBatch(m.out[:messages], 0)
	sent := 0
	for _, r := range m.runs[:max(n, 0)] { // x/net passes on the -1 of a call that failed
		sent += r
	}
	return sent, err
}

func (m *mmsg) growOut(n int) {
	if n <= len(m.out) {
		return
	}
	m.out = make([]ipv4.Message, n)
	m.peers = make([]peerSlot, n)
	m.marks = make([]sendControl, n)
	m.runs = make([]int, n)
	for i := range n {
		m.out[i].Buffers = make([][]byte, 1)
		m.marks[i] = newSendControl(m.v6)
	}
}

func (p *peerSlot) set(a netip.AddrPort) {
	ip := a.Addr()
	p.addr.Port = int(a.Port())
	p.addr.Zone = ip.Zone()
	switch {
	case ip.Is4():
		ip4 := ip.As4()
		p.addr.IP = append(p.ip[:0], ip4[:]...)
	case ip.Is6():
		p.ip = ip.As16()
		p.addr.IP = p.ip[:]
	default: // no address: x/net then gives the kernel none, which refuses the datagram
		p.addr.IP = nil
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return unmap(u.AddrPort())
}
