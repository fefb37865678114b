package rtmfp

import (
	"hash/maphash"
	"net/netip"
	"time"

	"pileus/rtmfp/udp"
)

// A ration is a set of token buckets per address prefix (/24 or /56) in a table
// of fixed size: prefixes whose keyed hashes meet share a bucket, so a flood of
// forged sources costs no memory and cannot aim at anyone's bucket.
type ration struct {
	seed  maphash.Seed
	rate  float64 // tokens per second; 0: no limit
	burst float64
	slots []bucket
}

type bucket struct {
	spent float64 // tokens used at last, decaying at the rate
	last  int64   // nanoseconds since the engine's epoch
}

func newRation(rate, burst int) *ration {
	r := &ration{seed: maphash.MakeSeed(), rate: float64(rate), burst: float64(burst)}
	if rate > 0 {
		r.slots = make([]bucket, prefixSlots)
	}
	return r
}

// take spends one token of addr's prefix, and reports whether there was one.
func (r *ration) take(now time.Duration, addr netip.Addr) bool {
	if r.rate <= 0 {
		return true
	}
	h := maphash.Comparable(r.seed, udp.Prefix(addr))
	return r.slots[h%uint64(len(r.slots))].take(int64(now), r.rate, r.burst)
}

func (b *bucket) take(now int64, rate, burst float64) bool {
	b.spent = max(0, b.spent-rate*float64(now-b.last)/1e9)
	b.last = now
	if b.spent+1 > burst {
		return false
	}
	b.spent++
	return true
}

// seenFilter remembers accepted IIKeyings for at least one cookie lifetime, so
// that a recorded one opens nothing a second time. Keys are seeded hashes.
type seenFilter struct {
	young, old map[uint64]struct{}
	since      time.Time
}

func (f *seenFilter) has(now time.Time, key uint64) bool {
	f.turn(now)
	if _, ok := f.young[key]; ok {
		return true
	}
	_, ok := f.old[key]
	return ok
}

func (f *seenFilter) add(now time.Time, key uint64) {
	f.turn(now)
	if f.young == nil {
		f.young = make(map[uint64]struct{})
	}
	f.young[key] = struct{}{}
}

// turn starts a new generation when a cookie accepted at the start of the young
// one can no longer be valid, or early when it is full.
func (f *seenFilter) turn(now time.Time) {
	age := now.Sub(f.since)
	switch {
	case age > 2*(cookieLifetime+time.Second):
		f.young, f.old = nil, nil
	case age > cookieLifetime+time.Second || len(f.young) >= maxSeenKeyings:
		f.young, f.old = nil, f.young
	default:
		return
	}
	f.since = now
}
