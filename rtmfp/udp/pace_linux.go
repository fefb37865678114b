package udp

import "time"

// pace decides when a busy reader should let datagrams gather: waking for each
// costs more than handling it, most of all in a virtual machine, whose timers are its
// host's; and half a millisecond is lost in the noise of any path.
type pace struct {
	since time.Time
	count int
	busy  bool
}

const (
	gatherFor    = 500 * time.Microsecond
	paceWindow   = 10 * time.Millisecond
	busyDatagram = 40_000 // per second: less than one in 25 µs needs no help
)

func (p *pace) arrived(now time.Time, n int) {
	p.count += n
	elapsed := now.Sub(p.since)
	if elapsed < paceWindow {
		return
	}
	p.busy = int64(p.count)*int64(time.Second) >= busyDatagram*int64(elapsed)
	p.since, p.count = now, 0
}

func (p *pace) gather() time.Duration {
	if p.busy {
		return gatherFor
	}
	return 0
}
