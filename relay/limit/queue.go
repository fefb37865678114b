package limit

import (
	"math"
	"sync"
)

// Values of the ECN field of an IP header (RFC 3168 section 5).
const (
	notECT  = 0b00
	ce      = 0b11
	ecnMask = 0b11
)

// buffers are lent to waiting packets, so that an idle flow, of which there are many, holds none.
var buffers = sync.Pool{New: func() any { return new([MaxPacket]byte) }}

// A held packet waits.
type held struct {
	buffer *[MaxPacket]byte
	data   []byte // in buffer
	size   int    // bytes of the IP packet
	ecn    uint8
}

// A queue is a ring of packets that grows as it must. The zero queue is empty.
type queue struct {
	ring    []held // its length is a power of two
	first   int
	packets int
	bytes   int              // of IP packets
	popped  *[MaxPacket]byte // still the caller's to read
}

func (q *queue) push(data []byte, size int, ecn uint8) {
	q.reclaim()
	if q.packets == len(q.ring) {
		grown := make([]held, max(8, 2*len(q.ring)))
		for i := range q.packets {
			grown[i] = *q.at(i)
		}
		q.ring, q.first = grown, 0
	}
	buffer := buffers.Get().(*[MaxPacket]byte)
	q.packets++
	*q.at(q.packets - 1) = held{buffer, buffer[:copy(buffer[:], data)], size, ecn}
	q.bytes += size
}

func (q *queue) at(i int) *held { return &q.ring[(q.first+i)&(len(q.ring)-1)] }

func (q *queue) head() *held { return q.at(0) }

// pop returns the oldest packet, whose data is valid until the next call. There must be one.
func (q *queue) pop() held {
	q.reclaim()
	p := *q.head()
	*q.head() = held{}
	q.popped = p.buffer
	q.first++
	q.packets--
	q.bytes -= p.size
	return p
}

func (q *queue) reclaim() {
	if q.popped != nil {
		buffers.Put(q.popped)
		q.popped = nil
	}
}

func (q *queue) discard() {
	for q.packets > 0 {
		q.pop()
	}
	q.reclaim()
	q.ring = nil
}

// A dropLaw says when a queue that is late drops its head: at once, and while that does not help at
// shrinking intervals, so that the rate of drops meets the rate of a sender that slows down with each
// (RFC 8289 section 3.3).
type dropLaw struct {
	next  int64 // nanoseconds since epoch; 0: not late
	count int
}

func (l *dropLaw) due(now int64, late bool) bool {
	switch {
	case !late:
		l.next = 0
		return false
	case l.next == 0:
		// Back within an interval: what rate of drops was right then is about right now.
		l.count = max(1, l.count/2)
	case now < l.next:
		return false
	default:
		l.count++
	}
	l.next = now + int64(float64(dropInterval)/math.Sqrt(float64(l.count)))
	return true
}
