package share

import (
	"net/netip"
	"time"

	"pileus/rtmfp/flow"
	"pileus/rtmfp/udp"
)

// Rate is what many may have together of something that comes again, such as bytes a
// second.
type Rate struct {
	PerSecond, Burst   float64 // PerSecond 0: no limit
	Peer, Prefix, Wide int     // shares, in percent; 0: any part
}

// Meter divides a rate among those who ask. While more than half of the burst is spent,
// each peer, prefix and wide prefix has no more than its share. The zero Meter is full.
// Use it from one goroutine.
type Meter struct {
	all   udp.Bucket
	parts map[netip.AddrPort]*udp.Bucket // nil unless it is strained; prefixes have ports 0 and 1
}

// maxParts bounds the parts that are told apart; above it all begin anew.
const maxParts = 1 << 12

// Take takes so much for somebody at from, or says why not. One that asks while anything
// is left gets all of it, and others wait for the rest: so nothing is too large.
func (m *Meter) Take(now time.Time, from netip.AddrPort, cost float64, r Rate) flow.Refusal {
	if r.PerSecond <= 0 {
		return flow.Granted
	}
	spent := m.all.Spent(now, r.PerSecond)
	if spent >= r.Burst {
		return flow.OverLimit
	}
	if spent <= r.Burst/2 {
		m.parts = nil
		m.all.Spend(cost)
		return flow.Granted
	}
	// As less is left shares shrink with it, so that whoever has had least gets some.
	left := 2 * (r.Burst - spent) / r.Burst
	var parts [3]*udp.Bucket
	for i, p := range [3]struct {
		key     netip.AddrPort
		percent int
	}{
		{netip.AddrPortFrom(udp.WidePrefix(from.Addr()).Addr(), 0), r.Wide},
		{netip.AddrPortFrom(udp.Prefix(from.Addr()).Addr(), 1), r.Prefix},
		{from, r.Peer},
	} {
		if p.percent == 0 {
			continue
		}
		b := m.part(p.key)
		share := left * float64(p.percent) / 100
		if b.Spent(now, r.PerSecond*share) >= r.Burst*share {
			return flow.OverShare
		}
		parts[i] = b
	}
	m.all.Spend(cost)
	for _, b := range parts {
		if b != nil {
			b.Spend(cost)
		}
	}
	return flow.Granted
}

func (m *Meter) part(key netip.AddrPort) *udp.Bucket {
	b := m.parts[key]
	if b == nil {
		if m.parts == nil || len(m.parts) >= maxParts {
			m.parts = make(map[netip.AddrPort]*udp.Bucket)
		}
		b = new(udp.Bucket)
		m.parts[key] = b
	}
	return b
}

// Strained reports whether more than half of the burst is spent.
func (m *Meter) Strained(now time.Time, r Rate) bool {
	return r.PerSecond > 0 && m.all.Spent(now, r.PerSecond) > r.Burst/2
}

// Spend takes so much for what has been asked for otherwise.
func (m *Meter) Spend(now time.Time, cost float64, r Rate) {
	if r.PerSecond > 0 {
		m.all.Spent(now, r.PerSecond)
		m.all.Spend(cost)
	}
}
