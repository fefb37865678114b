package rtmfp

import "time"

// seenFilter remembers IIKeyings that were accepted, so that a recorded one opens
// nothing a second time: those of a cookie's lifetime at least, or as many as it holds.
// Whichever ends first, it forgets none whose cookie is still good: cookies from before
// its memory begins are not (checkCookie). Keys are seeded hashes.
type seenFilter struct {
	young, old map[uint64]struct{}
	oldSince   time.Time // nothing accepted from here on is forgotten
	since      time.Time // when young began
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
	if len(f.young) >= maxSeenKeyings {
		f.begin(now, f.young) // here, so that between checkCookie and has nothing is forgotten
	}
}

// forget is for an IIKeying of which nothing came.
func (f *seenFilter) forget(key uint64) {
	delete(f.young, key)
	delete(f.old, key)
}

// turn starts a new generation when a cookie accepted at the start of the young
// one can no longer be valid.
func (f *seenFilter) turn(now time.Time) {
	const life = cookieLifetime + time.Second
	switch age := now.Sub(f.since); {
	case age > 2*life:
		f.begin(now, nil)
	case age > life:
		f.begin(now, f.young)
	}
}

func (f *seenFilter) begin(now time.Time, old map[uint64]struct{}) {
	f.young, f.old = nil, old
	f.oldSince, f.since = f.since, now
}
