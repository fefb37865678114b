package udp

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// A Limiter rations something per address prefix (see Prefix) by token buckets
// in a table of fixed size. Prefixes whose keyed hashes meet share a bucket, so
// a flood of forged sources costs no memory and cannot aim at anyone's bucket.
// It is not safe for concurrent use.
type Limiter struct {
	seed  maphash.Seed
	rate  float64
	burst float64
	slots []Bucket
}

// limiterSlots keeps the chance low that an honest prefix shares a bucket with a
// busy one: 256 KiB a table.
const limiterSlots = 1 << 14

// NewLimiter allows each prefix burst at once and rate per second in the long
// run. A rate of 0 or less is no limit.
func NewLimiter(rate, burst int) *Limiter {
	l := &Limiter{seed: maphash.MakeSeed(), rate: float64(rate), burst: float64(burst)}
	if rate > 0 {
		l.slots = make([]Bucket, limiterSlots)
	}
	return l
}

// Allow spends one token of addr's prefix, and reports whether there was one.
func (l *Limiter) Allow(now time.Time, addr netip.Addr) bool {
	if l.slots == nil {
		return true
	}
	h := maphash.Comparable(l.seed, Prefix(addr))
	return l.slots[h%limiterSlots].Take(now, l.rate, l.burst)
}

// A Bucket is one token bucket. The zero Bucket is full.
type Bucket struct {
	spent float64
	last  int64 // nanoseconds since epoch
}

// epoch is what times are counted from: the wall clock may be set.
var epoch = time.Now()

// Take spends one token of a bucket that holds at most burst and gains rate per
// second, and reports whether there was one.
func (b *Bucket) Take(now time.Time, rate, burst float64) bool {
	if b.Spent(now, rate)+1 > burst {
		return false
	}
	b.Spend(1)
	return true
}

// Spent is how much of the burst is spent at now, while rate a second is gained. It may be
// more than the burst.
func (b *Bucket) Spent(now time.Time, rate float64) float64 {
	t := int64(now.Sub(epoch))
	if gained := rate * float64(t-b.last) / 1e9; b.last != 0 && gained < b.spent {
		b.spent -= max(0, gained)
	} else {
		b.spent = 0
	}
	b.last = t
	return b.spent
}

// Spend takes so many tokens, of a bucket that Spent has brought up to date, even if
// there are less: what is missing is gained first.
func (b *Bucket) Spend(n float64) { b.spent += n }
