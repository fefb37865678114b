package introducer

import (
	"log/slog"
	"time"

	"pileus/rtmfp/udp"
)

// An event has a name that does not change, for those who search logs.
type event uint8

const (
	eventConnect event = iota
	eventSetPeerInfo
	eventClassified
	eventIntroduce
	eventOutcome
	eventName
	eventSplice
	eventClose
	eventCore
	eventCoreGone
	numEvents
)

var eventNames = [numEvents]string{"connect", "set-peer-info", "classified", "introduce", "outcome", "name", "splice", "close", "core", "core-gone"}

// Events of one kind above this rate are counted instead, so that no crowd fills
// a disk or makes logging the dearest part of its work.
const (
	eventRate  = 20
	eventBurst = 200
)

// eventLog writes events at info level.
type eventLog struct {
	log        *slog.Logger
	buckets    [numEvents]udp.Bucket
	suppressed [numEvents]uint64
}

func (l *eventLog) event(now time.Time, e event, args ...any) {
	if l.take(now, e) {
		l.write(e, args...)
	}
}

// take reports whether an event may be written. Where there are many, the words are
// looked for only then.
func (l *eventLog) take(now time.Time, e event) bool {
	if !l.buckets[e].Take(now, eventRate, eventBurst) {
		l.suppressed[e]++
		return false
	}
	return true
}

func (l *eventLog) write(e event, args ...any) {
	if n := l.suppressed[e]; n > 0 {
		l.suppressed[e] = 0
		args = append(args, "suppressed_before", n)
	}
	l.log.Info(eventNames[e], args...)
}
