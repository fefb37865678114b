package prober

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/report"
	"pileus/rtmfp/udp"
)

const (
	maxMTU = 1500 // the longest packet tried: what servers have buffers for
	minMTU = 576  // what every IPv4 host takes (RFC 791 section 3.1)

	mtuTries = 4
	mtuEvery = 120 * time.Millisecond
	mtuPace  = 2 * time.Millisecond // between packets of different lengths
	// mtuFan is how many lengths are tried at once: three rounds then find one of
	// all there are, and a packet that gets lost only costs what a longer one tells
	// as well.
	mtuFan = 16
	// mtuSearches bounds how often a search starts again that loss deceived.
	mtuSearches = 3

	udpHeaderLen = 8
	stunAlign    = 4 // a STUN message's length is a multiple of it (RFC 8489 section 5)
)

// headerLen of a packet to the server, in bytes.
func (d *depth) headerLen() int {
	if d.Server.Addr().Is4() {
		return 20 + udpHeaderLen
	}
	return 40 + udpHeaderLen
}

// mtu searches for the longest packet that gets through, both ways at the same time.
func (d *depth) mtu(ctx context.Context) {
	var ways sync.WaitGroup
	for _, s := range []*mtuSearch{{}, {inwards: true}} {
		ways.Go(func() {
			s.depth, s.runner = d, d.runner()
			defer s.close()
			m, why := s.run(ctx)
			switch {
			case why != "":
				d.note(s.name() + ": " + why)
			case m != nil && s.inwards:
				d.set(func(out *report.Depth) { out.MTUIn = m })
			case m != nil:
				d.set(func(out *report.Depth) { out.MTU = m })
			}
		})
	}
	ways.Wait()
}

// mtuSearch is one way. Outwards requests are long, and not to be fragmented.
// Inwards answers are, each as long as its request, which may be fragmented.
type mtuSearch struct {
	*depth
	*runner
	inwards bool
	socket  *socket
	exact   bool // packets of any length are possible, not only of every fourth
	tries   int
}

func (s *mtuSearch) name() string {
	if s.inwards {
		return "path MTU inwards"
	}
	return "path MTU outwards"
}

// run returns nil if ctx ended, or why there is nothing to know.
func (s *mtuSearch) run(ctx context.Context) (m *report.MTU, why string) {
	var err error
	if s.socket, err = s.open(); err != nil {
		return nil, err.Error()
	}
	set := udp.DontFragment
	if s.inwards {
		set = udp.MayFragment
	}
	if err := fragmentation(s.socket.conn, set); err != nil {
		return nil, err.Error()
	}
	if s.inwards {
		shortest, err := s.longest(ctx, natprobe.MinTries, minMTU)
		switch {
		case err != nil:
			return nil, ""
		case shortest == 0:
			return nil, "the server does not answer in the length it was asked in; a pileus node or natprobe serve does"
		}
	}
	found, err := s.search(ctx)
	if err != nil {
		return nil, ""
	}
	return &found, ""
}

func (s *mtuSearch) search(ctx context.Context) (report.MTU, error) {
	highest := maxMTU
	if s.MTU > 0 {
		highest = min(highest, s.MTU)
	}
	whole := highest / stunAlign * stunAlign
	low, high := minMTU-stunAlign, whole+stunAlign // arrives, does not: neither was tried
	arrived, err := s.longest(ctx, mtuTries, whole)
	if arrived > 0 {
		low = whole
	} else {
		high = whole
	}
	for n := 0; err == nil && n < mtuSearches; n++ {
		if low, high, err = s.narrow(ctx, low, high, highest); err != nil || high > highest {
			break
		}
		// All tries of the shortest that did not arrive may have been lost.
		if arrived, err = s.longest(ctx, natprobe.MinTries, high); arrived == 0 {
			break
		}
		low, high = high, highest+1
	}
	if err != nil {
		return report.MTU{}, err
	}
	m := report.MTU{Bytes: low, Interface: s.MTU, Tries: s.tries, Limited: low == highest}
	switch {
	case low < minMTU:
		m.Bytes = 0
	case high > highest:
	case s.inwards && !s.asks(ctx, high):
		m.Limited = true // it is the request that does not arrive, fragmented or not
	default:
		m.Below = high
	}
	m.Tries = s.tries
	return m, nil
}

// narrow finds the longest that arrives, between a length that does and one that
// does not: first of every fourth, then to the byte if the server passes over bytes
// behind a message.
func (s *mtuSearch) narrow(ctx context.Context, low, high, highest int) (lower, higher int, err error) {
	if low, high, err = s.narrowBy(ctx, stunAlign, low, high); err != nil || low < minMTU {
		return low, high, err
	}
	high = min(high, highest+1)
	if high-low > 1 && !s.exact {
		passed, err := s.longest(ctx, mtuTries, minMTU+1)
		if s.exact = passed > 0; err != nil || !s.exact {
			return low, high, err
		}
	}
	return s.narrowBy(ctx, 1, low, high)
}

func (s *mtuSearch) narrowBy(ctx context.Context, step, low, high int) (lower, higher int, err error) {
	for {
		var sizes []int
		apart := max(step, (high-low)/(mtuFan+1)/step*step)
		for size := low/step*step + apart; size < high; size += apart {
			sizes = append(sizes, size)
		}
		if len(sizes) == 0 {
			return low, high, nil
		}
		arrived, err := s.longest(ctx, mtuTries, sizes...)
		if err != nil {
			return low, high, err
		}
		low = max(low, arrived)
		for _, size := range sizes {
			if size > low {
				high = size
				break
			}
		}
	}
}

// longest returns the longest of these lengths that arrives, 0 if none does.
func (s *mtuSearch) longest(ctx context.Context, tries int, sizes ...int) (longest int, err error) {
	asks := make([]*ask, 0, len(sizes))
	for i, size := range sizes {
		a := s.sized(size, tries)
		a.due = a.due.Add(time.Duration(i) * mtuPace)
		if s.inwards {
			a.request.Path = &binding.PathTest{Whole: true}
		}
		asks = append(asks, a)
	}
	err = s.round(ctx, asks...)
	for i, a := range asks {
		s.tries += a.Tries
		if s.arrived(a, sizes[i]) {
			longest = max(longest, sizes[i])
		}
	}
	return longest, err
}

// arrived: of a request, an error response says that as well as an answer.
func (s *mtuSearch) arrived(a *ask, size int) bool {
	if !s.inwards {
		return a.answered || a.refused
	}
	return a.answered && a.answer.Path != nil && a.answer.Path.Whole && a.bytes+s.headerLen() == size
}

// asks reports whether a request of that length arrives, with a short answer.
func (s *mtuSearch) asks(ctx context.Context, size int) bool {
	a := s.sized(size, natprobe.MinTries)
	err := s.round(ctx, a)
	s.tries += a.Tries
	return err == nil && (a.answered || a.refused)
}

func (s *mtuSearch) sized(size, tries int) *ask {
	a := s.filled(s.socket, s.target, tries)
	payload := size - s.headerLen()
	a.request.Trailing = payload % stunAlign
	a.request.Size = payload - a.request.Trailing
	a.every = mtuEvery
	return a
}

var errNoRaw = errors.New("this socket cannot be told whether to fragment")

// fragmentation sets what becomes of long packets of a socket.
func fragmentation(conn net.PacketConn, set func(syscall.Conn) error) error {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return errNoRaw
	}
	return set(c)
}
