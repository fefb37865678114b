package udp

// merging decides whether a socket takes datagrams that the kernel has put together (UDP_GRO of udp(7)):
// same peer, same TOS, same size, back to back. They are then queued, and read, as one. Where peers take
// turns nothing is put together, and the search for a neighbour costs more than it brings: so it is tried
// when datagrams come in runs, and given up when they come alone nevertheless.
type merging struct {
	on     bool
	pieces int // that the datagrams of this window came in
	seen   int // datagrams of this window
	rest   int // datagrams before the next try
	pause  int // after the next failure
}

const (
	// mergeWindow is how many datagrams are looked at for a decision.
	mergeWindow = 256
	// minPause and maxPause bound the datagrams between two tries, each of which costs two system calls
	// and a window of slower ones. After a failure it doubles.
	minPause = 16 * mergeWindow
	maxPause = 4096 * mergeWindow
)

// saw is told what a read brought: pieces are messages if the kernel puts together, else the runs that it
// could have. It reports whether it should from now on.
func (m *merging) saw(pieces, datagrams int) bool {
	if m.rest > 0 {
		m.rest -= datagrams
		return m.on
	}
	m.pieces += pieces
	m.seen += datagrams
	if m.seen < mergeWindow {
		return m.on
	}
	switch {
	case !m.on:
		m.on = m.seen >= 2*m.pieces
	case 2*m.seen >= 3*m.pieces:
		m.pause = 0
	default:
		m.on = false
		m.pause = min(max(2*m.pause, minPause), maxPause)
		m.rest = m.pause
	}
	m.pieces, m.seen = 0, 0
	return m.on
}
