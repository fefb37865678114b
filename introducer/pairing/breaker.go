package pairing

import "time"

const (
	// breakAfter is the failures in a row after which the core counts as down.
	breakAfter = 5
	// breakFor is how long it is then not asked; one question tries it next.
	breakFor = time.Second
)

// breaker saves clients the timeout of a core that is down.
type breaker struct {
	failures int
	until    time.Time
}

// allows reports whether to ask at now.
func (b *breaker) allows(now time.Time) bool {
	if b.failures < breakAfter {
		return true
	}
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(breakFor)
	return true
}

func (b *breaker) note(now time.Time, answered bool) {
	if answered {
		b.failures = 0
		return
	}
	b.failures++
	b.until = now.Add(breakFor)
}
