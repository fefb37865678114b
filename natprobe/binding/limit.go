package binding

import (
	"net/netip"
	"time"

	"pileus/rtmfp/udp"
)

// Bounds of what strangers can make a server send to an address they forge. An
// answer with everything of RFC 5780 is 3.4 times a bare request.
const (
	burst       = 100         // answers to one prefix before the ratio of all of them counts
	maxRatio    = 2           // bytes out per byte in
	forgetAfter = time.Minute // of silence, a prefix has its burst again
	maxPrefixes = 4096        // remembered
	sweepEvery  = time.Second // at most, when there are so many
)

// Limiter bounds answers per udp.Prefix, by bytes: unlike udp.Limiter's tokens, what goes out may grow
// with what came in. Its zero value is ready.
type Limiter struct {
	prefixes map[netip.Prefix]*account
	swept    time.Time
}

type account struct {
	answers, in, out int
	last             time.Time
}

// Allow reports whether an answer of out bytes may go to a request of in bytes.
func (l *Limiter) Allow(to netip.Addr, in, out int, now time.Time) bool {
	if l.prefixes == nil {
		l.prefixes = make(map[netip.Prefix]*account)
	}
	p := udp.Prefix(to)
	if !p.IsValid() {
		return false
	}
	a := l.prefixes[p]
	if a == nil {
		if len(l.prefixes) >= maxPrefixes && now.Sub(l.swept) >= sweepEvery {
			l.forget(now)
		}
		if len(l.prefixes) >= maxPrefixes {
			return out <= maxRatio*in // too many at once: no bursts for newcomers
		}
		a = &account{}
		l.prefixes[p] = a
	}
	if now.Sub(a.last) >= forgetAfter {
		*a = account{}
	}
	a.last = now
	a.in += in
	if a.answers >= burst && a.out+out > maxRatio*a.in {
		return false
	}
	a.answers++
	a.out += out
	return true
}

func (l *Limiter) forget(now time.Time) {
	l.swept = now
	for p, a := range l.prefixes {
		if now.Sub(a.last) >= forgetAfter {
			delete(l.prefixes, p)
		}
	}
}
