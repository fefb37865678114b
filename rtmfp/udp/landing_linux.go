package udp

import (
	"math"

	"golang.org/x/sys/unix"
)

// landing is the memory that one goroutine reads into, for all of its sockets: slots for a datagram each,
// or the same bytes in pieces for what the kernel has put together.
type landing struct {
	size   int // of a slot, in bytes
	slots  []Datagram
	pieces [][]byte
	split  []Datagram // of pieces
}

const (
	// pieceSize (bytes) takes the longest IP packet: what did not fit would be lost.
	pieceSize = 1 << 16
	// maxPieces are read at a time, 1 MiB of which the system gives what is touched.
	maxPieces = 16
)

func newLanding(size int) *landing {
	space := make([]byte, max(inletBatch*size, maxPieces*pieceSize))
	l := &landing{size: size, slots: cut(space, inletBatch, size), split: make([]Datagram, 0, maxBatch)}
	for range maxPieces {
		l.pieces = append(l.pieces, space[:pieceSize:pieceSize])
		space = space[pieceSize:]
	}
	return l
}

// land reads into l what is there, put together by the kernel or not, as the traffic deserves. It is valid
// until the next read into l.
func (m *mmsg) land(l *landing) (d []Datagram, err error) {
	pieces, emptied := 0, true
	if m.merged {
		d, pieces, emptied, err = m.readMerged(l)
	} else {
		var n int
		n, err = m.read(l.slots)
		d = l.slots[:n]
		pieces = runs(d)
	}
	if err != nil {
		return nil, err
	}
	if on := m.merging.saw(pieces, len(d)); on != m.merged && emptied {
		m.merge(on)
	}
	return d, nil
}

// readMerged is read with UDP_GRO: a message has datagrams of one length, but for the last.
func (m *mmsg) readMerged(l *landing) (d []Datagram, pieces int, emptied bool, err error) {
	offered := min(len(l.pieces), m.offer.slots)
	m.in.grow(offered)
	for i := range offered {
		m.in.offer(i, l.pieces[i])
	}
	pieces, err = m.in.read(m.socket, offered)
	if err != nil {
		return nil, 0, true, err
	}
	m.offer.adapt(pieces)
	d = l.split[:0]
	for i := range pieces {
		length, _ := m.in.length(i)
		tos, size := m.in.control(i)
		if size <= 0 || size > length {
			size = length
		}
		if size > l.size {
			m.counts.oversize.Add(uint64((length + size - 1) / size))
			continue
		}
		one := Datagram{Peer: m.in.sources[i].addrPort(&m.in.zones), TOS: tos}
		for rest := l.pieces[i][:length]; ; {
			n := min(size, len(rest))
			one.Data, rest = rest[:n:n], rest[n:]
			d = append(d, one)
			if len(rest) == 0 {
				break
			}
		}
	}
	l.split = d
	return d, pieces, pieces < offered, nil
}

// merge switches UDP_GRO. What was put together before it is off would come as one long datagram after it,
// so it stays on if something waits.
func (m *mmsg) merge(on bool) {
	value := 0
	if on {
		value = 1
	}
	_ = m.socket.Control(func(fd uintptr) { // it fails for a closed socket, which merges nothing
		if unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, value) != nil {
			m.merging = merging{rest: math.MaxInt} // kernels before 5.0
			return
		}
		if !on && readable(int(fd)) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) // as it just was
			return
		}
		m.merged = on
	})
}

func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n > 0 || err != nil
}

// runs counts the pieces that d would come in, put together.
func runs(d []Datagram) (n int) {
	for ; len(d) > 0; n++ {
		d = d[run(d):]
	}
	return n
}
