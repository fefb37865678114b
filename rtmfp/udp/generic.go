package udp

import "net"

// generic moves one datagram per system call, on any system that Go has sockets for.
type generic struct {
	socket *net.UDPConn
	in     []byte
	out    tosControl
	v6     bool
	counts *counters
}

func newGeneric(socket *net.UDPConn, v6 bool, counts *counters) *generic {
	return &generic{socket: socket, in: make([]byte, controlSpace), out: newTOSControl(v6), v6: v6, counts: counts}
}

func (g *generic) read(d []Datagram) (int, error) {
	buf := d[0].Data[:cap(d[0].Data)]
	n, control, flags, from, err := g.socket.ReadMsgUDPAddrPort(buf, g.in)
	if err != nil {
		return 0, err
	}
	if flags&msgTruncated != 0 {
		g.counts.oversize.Add(1)
		return 0, nil
	}
	d[0] = Datagram{Peer: unmap(from), TOS: parseTOS(g.in[:control]), Data: buf[:n]}
	return 1, nil
}

func (g *generic) write(d []Datagram) (int, error) {
	for i := range d {
		if err := g.send(&d[i]); err != nil {
			return i, err
		}
	}
	return len(d), nil
}

func (g *generic) send(d *Datagram) error {
	if control := g.out.set(d.TOS); len(control) > 0 {
		if _, _, err := g.socket.WriteMsgUDPAddrPort(d.Data, control, d.Peer); err == nil {
			return nil
		}
		// Some systems know the control message and refuse it on sending: better unmarked than unsent.
	}
	_, err := g.socket.WriteToUDPAddrPort(d.Data, d.Peer)
	return err
}
