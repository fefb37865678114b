package rtmfp

import "time"

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
