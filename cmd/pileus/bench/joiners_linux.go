package bench

import (
	"errors"
	"slices"
	"time"
)

const (
	joinRate = 20              // per second, beside an attack
	joinLate = 3 * time.Second // for who joins when the attack ends
)

// joiners are honest peers that join while somebody attacks.
type joiners struct {
	l     *load
	begun pace
	times []time.Duration // that joins took
}

// honest has peers join from now on.
func (l *load) honest() *joiners {
	j := &joiners{l: l, begun: pace{start: time.Now(), perSecond: joinRate}}
	l.onReady = func(p *peer) { j.times = append(j.times, l.now.Sub(p.began)) }
	return j
}

// join has those join who are due.
func (j *joiners) join() {
	for j.begun.due(j.l.now) > 0 {
		j.l.open(j.begun.sent, group2, true)
		j.begun.sent++
	}
}

// values waits for the last, and says who has joined, and when.
func (j *joiners) values() ([]Value, error) {
	defer func() { j.l.onReady = nil }()
	if err := j.l.sleep(joinLate); err != nil {
		return nil, err
	}
	if len(j.times) == 0 {
		return nil, errors.New("nobody could join")
	}
	slices.Sort(j.times)
	at := func(percent int) float64 { return 1e3 * j.times[len(j.times)*percent/100].Seconds() }
	return []Value{
		{"joins", percent(len(j.times), j.begun.sent), "%"},
		{"median", at(50), "ms"},
		{"99%", at(99), "ms"},
	}, nil
}
