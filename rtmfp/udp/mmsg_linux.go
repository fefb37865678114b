package udp

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// mmsg moves a batch per system call. Its message headers are made once and point into the caller's
// buffers only between two calls.
type mmsg struct {
	socket  batchSocket
	in, out []ipv4.Message
	peers   []peerSlot
	marks   []tosControl
	offer   int // slots the next read shows to the kernel, at least 1
	burst   int // datagrams read since a read last emptied the socket
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
	m := &mmsg{offer: 1, v6: v6, counts: counts}
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
	m.growOut(len(d))
	for i := range d {
		msg, peer := &m.out[i], &m.peers[i]
		msg.Buffers[0] = d[i].Data
		msg.OOB = m.marks[i].set(d[i].TOS)
		peer.set(d[i].Peer)
		msg.Addr = &peer.addr
	}
	n, err := m.socket.WriteBatch(m.out[:len(d)], 0)
	return max(n, 0), err // x/net passes on the -1 of a call that failed
}

func (m *mmsg) growOut(n int) {
	if n <= len(m.out) {
		return
	}
	m.out = make([]ipv4.Message, n)
	m.peers = make([]peerSlot, n)
	m.marks = make([]tosControl, n)
	for i := range n {
		m.out[i].Buffers = make([][]byte, 1)
		m.marks[i] = newTOSControl(m.v6)
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
