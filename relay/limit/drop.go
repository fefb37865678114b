package limit

import "time"

// A DropReason says why a flow lost a packet.
type DropReason uint8

// The reasons. The set is closed: each is a counter.
const (
	DropBound    DropReason = iota // the queue's hard bound
	DropHead                       // in place of a mark: the flow knows no ECN
	DropOversize                   // longer than MaxPacket, and would have had to wait
	DropClosed                     // still waiting when the flow ended
	numDropReasons
)

var dropNames = [numDropReasons]string{"bound", "head", "oversize", "closed"}

func (r DropReason) String() string {
	if r < numDropReasons {
		return dropNames[r]
	}
	return "unknown"
}

// Counts is what came of the packets of one direction. All only grow.
type Counts struct {
	Bytes, Packets uint64 // forwarded, IP headers included
	Marks          uint64 // of these, marked CE here
	Drops          [numDropReasons]uint64
}

// EachDrop calls f for every reason with its count.
func (c Counts) EachDrop(f func(reason string, n uint64)) {
	for r, n := range c.Drops {
		f(DropReason(r).String(), n)
	}
}

// Dropped sums the drops.
func (c Counts) Dropped() (n uint64) {
	for _, d := range c.Drops {
		n += d
	}
	return n
}

func (c *Counts) add(d Counts) {
	c.Bytes += d.Bytes
	c.Packets += d.Packets
	c.Marks += d.Marks
	for r, n := range d.Drops {
		c.Drops[r] += n
	}
}

func (c Counts) since(old Counts) Counts {
	c.Bytes -= old.Bytes
	c.Packets -= old.Packets
	c.Marks -= old.Marks
	for r := range c.Drops {
		c.Drops[r] -= old.Drops[r]
	}
	return c
}

// Totals is the account of a pair, a peer, a tenant or the node.
type Totals struct {
	// Sent and Received are seen from the pair's first party, or from the peer. Of a tenant and of the
	// node each packet is Sent by one of its peers, and Received holds nothing.
	Sent, Received Counts
	Pairs          uint64        // opened so far
	Duration       time.Duration // of pairs, summed: of those that have ended, but of a Pair its own so far
}
