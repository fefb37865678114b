package bench

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pileus/rtmfp/flash"
)

const (
	// Sessions opened for each second of Config.Seconds.
	handshakes2  = 400
	handshakes14 = 150
	inFlight     = 32 // handshakes at once

	joinPeers   = 2000
	joinTime    = 2500 * time.Millisecond
	joinLimit   = 10 * time.Second // for those who come too late
	openTimeout = 30 * time.Second // for everything that is opened, repetitions included
)

// handshakes opens sessions, a bounded number at once, and with connect
// connects them and sends setPeerInfo.
func (l *load) handshakes(g flash.Group, connect bool) ([]Value, error) {
	n := handshakes2
	if g == group14 {
		n = handshakes14
	}
	n *= l.cfg.Seconds
	u, err := l.usage()
	if err != nil {
		return nil, err
	}
	opened, took, err := l.openAll(g, connect, n)
	if err != nil {
		return nil, err
	}
	if opened == 0 {
		return nil, errors.New("no session came about")
	}
	if err := l.sleep(settle); err != nil {
		return nil, err
	}
	d, err := l.since(u)
	if err != nil {
		return nil, err
	}
	if err := l.closeAll(); err != nil {
		return nil, err
	}
	// What opens without a connect proves its keys only as it closes.
	if opened = min(opened, l.proven); opened == 0 {
		return nil, errOtherKeys
	}
	values := []Value{
		{"opened", percent(opened, n), "%"},
		{"rate", float64(opened) / took.Seconds(), "/s"},
	}
	return append(values, d.each("cpu", opened)...), nil
}

var errOtherKeys = errors.New("sessions open, and nothing of the server's opens under their keys: it has come to others")

// openAll opens peers 0 to n-1, at most inFlight at once.
func (l *load) openAll(g flash.Group, connect bool, n int) (opened int, took time.Duration, err error) {
	begun := 0
	l.onReady = func(*peer) { opened++ }
	defer func() { l.onReady = nil }()
	start := time.Now()
	last := start
	err = l.run(openTimeout, func() (time.Time, bool) {
		for begun < n && begun-opened < inFlight {
			l.open(begun, g, connect)
			begun++
		}
		if opened == n {
			last = l.now
		}
		return l.now.Add(time.Second), opened == n
	})
	if opened < n {
		last = time.Now()
	}
	return opened, last.Sub(start), err
}

// connectAll connects n peers for a measurement that needs them all.
func (l *load) connectAll(n int) error {
	opened, _, err := l.openAll(group2, true, n)
	if err == nil && opened < n {
		err = fmt.Errorf("only %d of %d peers could connect", opened, n)
	}
	return err
}

// joinAtOnce sends 2,000 IHellos in one burst and sees who is connected in
// time.
func (l *load) joinAtOnce() ([]Value, error) {
	var times []time.Duration
	l.onReady = func(p *peer) { times = append(times, l.now.Sub(p.began)) }
	defer func() { l.onReady = nil }()
	u, err := l.usage()
	if err != nil {
		return nil, err
	}
	begun := false
	if err := l.run(joinLimit, func() (time.Time, bool) {
		for i := 0; !begun && i < joinPeers; i++ {
			l.open(i, group2, true)
		}
		begun = true
		return l.now.Add(time.Second), len(times) == joinPeers
	}); err != nil {
		return nil, err
	}
	d, err := l.since(u)
	if err != nil {
		return nil, err
	}
	slices.Sort(times)
	inTime, found := slices.BinarySearch(times, joinTime)
	if found {
		inTime++
	}
	if len(times) == 0 {
		return nil, errors.New("nobody could join")
	}
	values := []Value{
		{"in-time", percent(inTime, joinPeers), "%"},
		{"median", times[len(times)/2].Seconds(), "s"},
		{"last", times[len(times)-1].Seconds(), "s"},
		{"joined", percent(len(times), joinPeers), "%"},
	}
	return append(values, d.each("cpu", len(times))...), l.closeAll()
}

// closeAll closes every session, politely, so that the next measurement meets
// an empty server. Those that were heard under their keys by then are proven.
func (l *load) closeAll() error {
	l.idlers = nil
	waiting := make([]*peer, 0, len(l.peers))
	for _, p := range l.peers {
		waiting = append(waiting, p)
	}
	const tries = 3
	err := l.run(tries*dataRepeat, func() (time.Time, bool) {
		// A few at a time: a burst would only fill the server's receive buffer.
		for range inFlight {
			if len(waiting) == 0 {
				break
			}
			waiting[0].close()
			waiting = waiting[1:]
		}
		return l.now.Add(time.Millisecond), len(waiting) == 0 && len(l.opening) == 0
	})
	l.proven = 0
	for _, p := range l.peers {
		if p.heard {
			l.proven++
		}
	}
	clear(l.peers)
	clear(l.opening)
	return err
}
