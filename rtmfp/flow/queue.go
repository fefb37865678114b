package flow

import "pileus/rtmfp/wire"

// fragment is an entry of a flow's SEND_QUEUE (section 3.6.2). It is on its flow's
// queue until it is acknowledged or given up, and on the session's flight list while
// it is in flight.
type fragment struct {
	prev, next   *fragment // by sequence number, of this flow
	older, newer *fragment // by transmission, of all flows

	msg      *message
	seq      uint64
	tsn      uint64 // of its last transmission
	from, to uint32 // in msg.data
	size     uint16 // TRANSMIT_SIZE
	naks     uint8
	fra      wire.Fragment

	queued, inFlight bool
	everSent         bool
	abandoned        bool
	sentAbandoned    bool
}

// message is a user message on its way, or nothing but a place in the sequence
// (a final fragment after the last message, a forward sequence number update). Its
// first fragment is part of it, so that a small message is one object beside its
// data.
type message struct {
	flow      *SendFlow
	data      []byte
	first     fragment
	rest      []fragment
	startBy   instant
	finishBy  instant
	receipt   *Receipt
	memory    int32  // what it counts in its flow's queue
	left      uint32 // fragments still queued
	started   bool
	abandoned bool
	update    bool // a Forward Sequence Number Update
}

func (g *message) expired(now instant) bool {
	return !g.abandoned && (g.finishBy.passed(now) || !g.started && g.startBy.passed(now))
}

// fragments yields all fragments, queued or not.
func (g *message) fragments(yield func(*fragment) bool) {
	if !yield(&g.first) {
		return
	}
	for i := range g.rest {
		if !yield(&g.rest[i]) {
			return
		}
	}
}

// sendQueue is the SEND_QUEUE. Abandoned fragments leave it as soon as they are not
// in flight, the final one excepted, so whatever is queued and not in flight is
// eligible to send. What abandoned fragments leave behind is told by the forward
// sequence number alone.
type sendQueue struct {
	head, tail *fragment
	unsent     *fragment // the first that was never sent; all after it neither
	resend     int32     // fragments before unsent that are not in flight
	memory     int32     // of all messages that have fragments here
}

func (q *sendQueue) push(e *fragment) {
	e.prev, e.next = q.tail, nil
	if q.tail == nil {
		q.head = e
	} else {
		q.tail.next = e
	}
	q.tail = e
	if q.unsent == nil {
		q.unsent = e
	}
	q.enter(e)
}

// pushFront queues a Forward Sequence Number Update: a sequence number below the
// head's, which was used before.
func (q *sendQueue) pushFront(e *fragment) {
	e.prev, e.next = nil, q.head
	if q.head == nil {
		q.tail = e
	} else {
		q.head.prev = e
	}
	q.head = e
	e.everSent, e.msg.update = true, true
	q.resend++
	q.enter(e)
}

func (q *sendQueue) enter(e *fragment) {
	e.queued = true
	e.msg.left++
	if e.msg.left == 1 {
		q.memory += e.msg.memory
	}
}

// remove takes out a fragment that is not in flight.
func (q *sendQueue) remove(e *fragment) {
	if e.everSent {
		q.resend--
	} else if q.unsent == e {
		q.unsent = e.next
	}
	if e.prev == nil {
		q.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		q.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next, e.queued = nil, nil, false
	if e.msg.left--; e.msg.left == 0 {
		q.memory -= e.msg.memory
	}
}

// empty lets go of a message's data.
func (q *sendQueue) empty(g *message) {
	if g.left > 0 {
		q.memory -= int32(cap(g.data))
	}
	g.memory -= int32(cap(g.data))
	g.data = nil
}

// nextEligible returns the first fragment that is not in flight.
func (q *sendQueue) nextEligible() *fragment {
	if q.resend == 0 {
		return q.unsent
	}
	e := q.head
	for e.inFlight {
		e = e.next
	}
	return e
}

// flightList is what is in flight in the session, the oldest transmission first.
type flightList struct {
	head, tail *fragment
	nextTSN    uint64 // of the transmission before
	maxAcked   uint64 // MAX_TSN_ACK
}

// launch takes e from waiting to in flight.
func (l *flightList) launch(e *fragment) {
	q := &e.msg.flow.queue
	if e.everSent {
		q.resend--
	} else {
		q.unsent = e.next
	}
	l.nextTSN++
	e.tsn = l.nextTSN
	e.inFlight, e.everSent, e.naks = true, true, 0
	e.msg.started = true
	e.older, e.newer = l.tail, nil
	if l.tail == nil {
		l.head = e
	} else {
		l.tail.newer = e
	}
	l.tail = e
}

// land takes e from in flight to waiting.
func (l *flightList) land(e *fragment) {
	if e.older == nil {
		l.head = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		l.tail = e.older
	} else {
		e.newer.older = e.older
	}
	e.older, e.newer, e.inFlight = nil, nil, false
	e.msg.flow.queue.resend++
}
