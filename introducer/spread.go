package introducer

import (
	"net/netip"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/share"
	"pileus/rtmfp/udp"
)

// What goes to many goes out by turns: so much at a time that a call of anybody waits for
// no more than a fraction of a millisecond, and then what others want to spread, by
// prefix. Most have few receivers and are through at once.
const (
	spreadTurn  = 64                   // steps of one before the next has its turn
	spreadRate  = 64_000               // steps a second: a quarter of a core
	spreadBurst = 256                  // steps at once
	spreadPause = time.Millisecond     // until there is a step to be had again
	spreadLull  = 5 * time.Millisecond // until the node may send again
)

// spreader has what is to be done for many wait for its turn.
type spreader struct {
	queue share.Queue[*spread]
	pace  udp.Bucket
	timer *rtmfp.Timer
}

// spread is something done for many, one after the other.
type spread struct {
	step  func() (more bool)
	bytes int // that each step makes the node send
}

// spread has s done, on behalf of somebody at addr.
func (n *Node) spread(x *spreader, e *rtmfp.Engine, addr netip.Addr, s *spread) {
	x.queue.Add(addr, s)
	if x.timer == nil {
		n.goOn(x, e)
	}
}

// goOn does what there is to do, until it has to pause.
func (n *Node) goOn(x *spreader, e *rtmfp.Engine) {
	x.timer = nil
	for w := x.queue.Next(); w != nil; w = x.queue.Next() {
		more := true
		for i := 0; i < spreadTurn && more; i++ {
			if pause := n.pause(x, e.Now(), w.Value.bytes); pause > 0 {
				x.queue.Again(w)
				x.timer = e.After(pause, func() { n.goOn(x, e) })
				return
			}
			more = w.Value.step()
		}
		if more {
			x.queue.Again(w)
		}
	}
}

// pause is how long a step that sends so much has to wait; 0: it is paid for.
func (n *Node) pause(x *spreader, now time.Time, bytes int) time.Duration {
	if bytes > 0 && n.sent.Strained(now, n.nodeRate()) {
		return spreadLull // what one client sends another comes before
	}
	if !x.pace.Take(now, spreadRate, spreadBurst) {
		return spreadPause
	}
	n.sent.Spend(now, float64(bytes), n.nodeRate())
	return 0
}
