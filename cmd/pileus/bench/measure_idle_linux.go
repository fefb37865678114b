package bench

import (
	"errors"
	"time"
)

// idleTime is how long idle peers are watched: two keepalives of each.
const idleTime = 2 * keepalive

// idle measures what connected peers cost that do nothing but keep their
// sessions alive, with a keepalive every 15 s.
func (l *load) idle() ([]Value, error) {
	n := l.cfg.Peers
	before, err := l.usage()
	if err != nil {
		return nil, err
	}
	if err := l.connectAll(n); err != nil {
		return nil, err
	}
	for i := range n {
		l.idlers = append(l.idlers, l.peers[i])
	}
	l.nextPing = time.Now()
	if err := l.sleep(keepalive / 3); err != nil { // what connecting left behind
		return nil, err
	}
	if err := l.awaitQuestions(); err != nil {
		return nil, err
	}
	u, err := l.usage()
	if err != nil {
		return nil, err
	}
	l.pings, l.pongs = 0, 0
	if err := l.sleep(idleTime); err != nil {
		return nil, err
	}
	d, err := l.since(u)
	if err != nil {
		return nil, err
	}
	total, err := l.since(before)
	if err != nil {
		return nil, err
	}
	l.idlers = nil
	if err := l.sleep(settle); err != nil { // for the last answers
		return nil, err
	}
	if l.pongs == 0 {
		return nil, errors.New("no keepalive was answered")
	}
	values := append([]Value{{"alive", percent(l.pongs, l.pings), "%"}}, d.core()...)
	values = append(values, total.memory("memory", n, "KiB/peer", 1<<10)...)
	return values, l.closeAll()
}
