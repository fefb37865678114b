package peer

import "time"

// pacer spreads messages over time as their timestamps say.
type pacer struct {
	start       time.Time
	first, last uint32 // timestamps, in milliseconds
	begun       bool
}

const (
	// maxGap is the longest silence that timestamps may ask for, maxStepBack
	// the most that one may precede the last: sound and pictures are not always
	// interleaved to the millisecond. What goes beyond is a splice.
	maxGap      = 10 * time.Second
	maxStepBack = time.Second
)

// due is when a message with that timestamp is to be sent. It may be past: a
// source that is late is not made later.
func (p *pacer) due(now time.Time, timestamp uint32) time.Time {
	at := p.start.Add(since(p.first, timestamp))
	if !p.begun || since(p.last, timestamp) < -maxStepBack || at.Sub(now) > maxGap {
		p.start, p.first, p.begun = now, timestamp, true
		at = now
	}
	p.last = timestamp
	return at
}

// since is the time from one timestamp to another, which may have wrapped
// around.
func since(from, to uint32) time.Duration {
	return time.Duration(int32(to-from)) * time.Millisecond
}
