package splice

import (
	"net/netip"
	"time"

	"pileus/relay/limit"
	"pileus/rtmfp/flash"
)

// Live is a splice at one instant. Of two of anything, the first is the side's that
// called first.
type Live struct {
	ID      uint64
	Peers   [2]flash.PeerID
	Sockets [2]int
	Relay   [2]netip.AddrPort // of Sockets; for the driver to fill in
	Sources [2]netip.AddrPort // zero: not known
	Since   time.Time
	Totals  limit.Totals
}

// List tells of all splices through which an IIKeying went, in no order.
func (t *Table) List(now time.Time) []Live {
	list := make([]Live, 0, len(t.splices))
	for _, s := range t.splices {
		if !s.keyed {
			continue
		}
		l := Live{ID: s.id, Since: s.opened, Totals: s.pair.Totals(now)}
		for i := range s.sides {
			d := &s.sides[(s.first+i)%2]
			l.Peers[i], l.Sockets[i], l.Sources[i] = s.peers[d.index], d.socket, d.source
		}
		if s.first == 1 {
			l.Totals.Sent, l.Totals.Received = l.Totals.Received, l.Totals.Sent
		}
		list = append(list, l)
	}
	return list
}
