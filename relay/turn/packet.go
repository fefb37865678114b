package turn

import (
	"net/netip"

	"pileus/rtmfp/udp"
)

// A Socket is a bound UDP socket, such as a *udp.Conn.
type Socket interface {
	ReadBatch([]udp.Datagram) (int, error)
	Send(p []byte, to netip.AddrPort) error // from several goroutines at once
	LocalAddr() netip.AddrPort
	Close() error
}

// ServePacket serves clients over UDP until the socket fails or the Server is closed, and returns why.
func (s *Server) ServePacket(c Socket) error {
	l := &packetLink{socket: c, batch: make([]udp.Datagram, readBatch)}
	for i := range l.batch {
		// One byte more than is relayed, so that what is longer is seen to be.
		l.batch[i].Data = make([]byte, maxDatagram+1)
	}
	return s.serve(newFront(s, l, UDP, c.LocalAddr()))
}

// A packetLink reads a socket in batches.
type packetLink struct {
	socket   Socket
	batch    []udp.Datagram
	at, have int
}

func (l *packetLink) next() ([]byte, netip.AddrPort, error) {
	if l.at == l.have {
		n, err := l.socket.ReadBatch(l.batch)
		if err != nil {
			return nil, netip.AddrPort{}, err
		}
		l.at, l.have = 0, n
	}
	d := &l.batch[l.at]
	l.at++
	return d.Data, d.Peer, nil
}

func (l *packetLink) send(p []byte, to netip.AddrPort) error { return l.socket.Send(p, to) }

func (l *packetLink) close() error { return l.socket.Close() }
