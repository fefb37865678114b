package pairing

import "time"

const (
	// retryFirst and retryMost are the waits after an event that could not be
	// delivered; each is twice the last.
	retryFirst = time.Second
	retryMost  = 15 * time.Second
	// retryAsked is the longest that a core can ask for by Retry-After.
	retryAsked = 5 * time.Minute
)

// event is one that waits for the core.
type event struct {
	id   string
	body []byte
}

// queue is the events for the core, in order: the first is tried until the core
// has taken or refused it.
type queue struct {
	limit  int
	events []event
	wait   time.Duration // after the last failure
	next   time.Time     // no try before
}

// push appends e. False: the queue is full, and e is lost, not an older one: what
// the core has heard so far stays true up to one instant.
func (q *queue) push(e event) bool {
	if len(q.events) >= q.limit {
		return false
	}
	q.events = append(q.events, e)
	return true
}

// first is the event to try at now, or how long to wait for one; a negative
// wait: until the next push.
func (q *queue) first(now time.Time) (e event, wait time.Duration) {
	if len(q.events) == 0 {
		return event{}, -1
	}
	if d := q.next.Sub(now); d > 0 {
		return event{}, d
	}
	return q.events[0], 0
}

// done takes the first event off: it was delivered, or refused for good.
func (q *queue) done() {
	q.events[0] = event{}
	q.events = q.events[1:]
	q.wait, q.next = 0, time.Time{}
}

// failed has the first event wait for another try, for as long as the core asked at least.
func (q *queue) failed(now time.Time, asked time.Duration) {
	q.wait = min(max(2*q.wait, retryFirst), retryMost)
	q.next = now.Add(max(q.wait, min(asked, retryAsked)))
}
