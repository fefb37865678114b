package pair

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

const (
	payload    = 1000 // bytes of a message of the load
	stampBytes = 8

	// maxEchoes bounds the round trips that are kept: twenty a second, for the
	// longest time.
	maxEchoes = 20 * int(MaxTime/time.Second)
)

// appendStamp writes a time of the sender's clock into a message, as nanoseconds.
func appendStamp(b []byte, at time.Duration) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(at)) //nolint:gosec // since the start
}

// stamp reads what appendStamp wrote.
func stamp(b []byte) (at time.Duration, ok bool) {
	if len(b) < stampBytes {
		return 0, false
	}
	return time.Duration(binary.BigEndian.Uint64(b)), true //nolint:gosec // of the far end: it is but subtracted
}

// arrivals counts the messages of the load that come in. Clocks of two hosts are
// not one: only differences of transit times mean something.
type arrivals struct {
	received, bytes int
	first, last     time.Duration // by this host's clock
	transit, jitter float64       // seconds
}

func (a *arrivals) add(now, sent time.Duration, bytes int) {
	transit := (now - sent).Seconds()
	if a.received == 0 {
		a.first = now
	} else {
		// "J(i) = J(i-1) + (|D(i-1,i)| - J(i-1))/16" (RFC 3550 section 6.4.1)
		a.jitter += (math.Abs(transit-a.transit) - a.jitter) / 16
	}
	a.received++
	a.bytes += bytes
	a.transit, a.last = transit, now
}

// way is the result, for a sender that says how much it sent in which time.
func (a *arrivals) way(sent int, lasted time.Duration) Way {
	w := Way{Sent: max(sent, a.received), Received: a.received, Jitter: a.jitter * 1000}
	if w.Sent > 0 {
		w.Loss = 1 - float64(w.Received)/float64(w.Sent)
	}
	if span := max(lasted, a.last-a.first); span > 0 {
		w.Rate = float64(a.bytes) * 8 / span.Seconds()
	}
	return w
}

// echoes are round-trip times.
type echoes []time.Duration

func (e *echoes) add(d time.Duration) {
	if d >= 0 && len(*e) < maxEchoes {
		*e = append(*e, d)
	}
}

func (e *echoes) rtt() RTT {
	if len(*e) == 0 {
		return RTT{}
	}
	sorted := slices.Sorted(slices.Values(*e))
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return RTT{Least: ms(sorted[0]), Median: ms(sorted[len(sorted)/2]), Most: ms(sorted[len(sorted)-1]), Count: len(sorted)}
}
