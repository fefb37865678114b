package bench

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

const (
	introducers   = 200  // connected peers for each second, which ask for each other in turn
	partners      = 16   // that each asks for
	introduceRate = 1000 // per second
	lookupsAtOnce = 128
	lookupTimeout = 200 * time.Millisecond
)

// An asker has connected peers send IHellos for each other. A tag begins with
// the number of the question.
type asker struct {
	l        *load
	ids      []flash.PeerID
	sent     []time.Time
	answered []bool
	waiting  int
	times    []time.Duration
}

func newAsker(l *load, n int) *asker {
	a := &asker{l: l, ids: make([]flash.PeerID, n)}
	for i := range a.ids {
		a.ids[i] = l.peers[i].id()
	}
	l.onRedirect = a.redirect
	return a
}

func (a *asker) ask() {
	k := len(a.sent)
	n := len(a.ids)
	from := k % n
	// Another partner in each turn, but not ever more: a server may bound how
	// many peers one client looks for at a time.
	to := (from + 1 + k/n%partners) % n
	epd := wire.AppendOption(nil, 0x0f, a.ids[to][:])
	var tag [16]byte
	binary.BigEndian.PutUint64(tag[:], uint64(k))
	copy(tag[8:], a.l.keys.run[:])
	datagram := a.l.hello(epd, tag[:])
	a.sent = append(a.sent, time.Now())
	a.answered = append(a.answered, false)
	a.waiting++
	a.l.send(from, datagram)
}

func (a *asker) redirect(tag []byte) {
	if len(tag) != 16 || [8]byte(tag[8:]) != a.l.keys.run {
		return
	}
	k := binary.BigEndian.Uint64(tag)
	if k >= uint64(len(a.sent)) || a.answered[k] {
		return // a server may repeat its Redirect
	}
	a.answered[k] = true
	a.waiting--
	a.times = append(a.times, a.l.now.Sub(a.sent[k]))
}

// introductions measures latency and CPU time at a steady rate.
func (l *load) introductions() ([]Value, error) {
	return l.askFor(func(a *asker) func() time.Time {
		p := pace{start: time.Now(), perSecond: introduceRate}
		return func() time.Time {
			for p.due(l.now) > 0 {
				a.ask()
				p.sent++
			}
			return p.next()
		}
	})
}

// lookups measures how many introductions a second there can be.
func (l *load) lookups() ([]Value, error) {
	return l.askFor(func(a *asker) func() time.Time {
		oldest := 0
		return func() time.Time {
			for oldest < len(a.sent) && (a.answered[oldest] || l.now.Sub(a.sent[oldest]) > lookupTimeout) {
				if !a.answered[oldest] {
					a.answered[oldest] = true // too late to count
					a.waiting--
				}
				oldest++
			}
			for a.waiting < lookupsAtOnce {
				a.ask()
			}
			return l.now.Add(lookupTimeout)
		}
	})
}

func (l *load) askFor(begin func(*asker) func() time.Time) ([]Value, error) {
	n := introducers * l.cfg.Seconds
	if err := l.connectAll(n); err != nil {
		return nil, err
	}
	if err := l.awaitQuestions(); err != nil {
		return nil, err
	}
	a := newAsker(l, n)
	defer func() { l.onRedirect = nil }()
	l.fihellos = 0
	u, err := l.usage()
	if err != nil {
		return nil, err
	}
	duration := time.Duration(l.cfg.Seconds) * time.Second
	tick := begin(a)
	if err := l.run(duration, func() (time.Time, bool) { return tick(), false }); err != nil {
		return nil, err
	}
	if err := l.sleep(lookupTimeout); err != nil {
		return nil, err
	}
	d, err := l.since(u)
	if err != nil {
		return nil, err
	}
	if len(a.times) == 0 {
		return nil, errors.New("no Redirect came: the server introduces nobody")
	}
	slices.Sort(a.times)
	values := []Value{
		{"asked", float64(len(a.sent)) / duration.Seconds(), "/s"},
		{"redirected", percent(len(a.times), len(a.sent)), "%"},
		{"forwarded", percent(l.fihellos, len(a.sent)), "%"},
		{"rate", float64(len(a.times)) / duration.Seconds(), "/s"},
		{"p50", microseconds(a.times[len(a.times)/2]), "µs"},
		{"p99", microseconds(a.times[len(a.times)*99/100]), "µs"},
	}
	return append(values, d.each("cpu", len(a.times))...), l.closeAll()
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
