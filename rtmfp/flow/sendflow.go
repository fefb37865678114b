package flow

import (
	"math"
	"slices"
	"time"

	"pileus/rtmfp/wire"
)

// Priority ranks the sending flows of a session. A packet is filled from the highest
// first. Data above PriorityRoutine is time critical: the packet is flagged so, and
// the far end has its other senders yield (section 3.5.2.1).
type Priority int8

const (
	PriorityBackground Priority = iota - 3
	PriorityBulk
	PriorityData
	PriorityRoutine // the zero value
	PriorityElevated
	PriorityImmediate
	PriorityFlash
	PriorityFlashOverride
)

// SendOptions are what a sending flow starts with.
type SendOptions struct {
	Priority Priority
	ReturnOf *RecvFlow  // the flow this one answers, or nil (section 2.3.11.1.2)
	Events   SendEvents // or nil
	Buffer   int        // bytes of memory that the flow queues; 0: Config.SendBuffer
}

// SendEvents is told what happens to a sending flow.
type SendEvents interface {
	// Writable is called once after Write returned ErrFull, when half of the queue
	// is free.
	Writable(f *SendFlow)

	// Exception is called once, when the far end rejects the flow. All that was
	// queued is abandoned and the flow is closing.
	Exception(f *SendFlow, code uint64)

	// Closed is called once, when the flow has ended: with nil when the far end has
	// acknowledged all after Close, with the *Exception when it had rejected the
	// flow, with the error given to Abort when the session is over.
	Closed(f *SendFlow, err error)
}

// WriteOptions make a message partially reliable (section 3.6.2.7). The zero
// WriteOptions are fully reliable.
type WriteOptions struct {
	StartBy  time.Duration // abandon it unless its transmission began within; 0: wait for ever
	FinishBy time.Duration // abandon it unless it is acknowledged within; 0: try for ever
	Receipt  *Receipt      // filled in to follow and abandon this message; or nil
	Shared   bool          // nobody changes the message any more: it needs no copy
}

type sendState uint8

const (
	sendOpen sendState = iota
	sendClosing
	sendLingering // complete
	sendClosed
)

// SendFlow is a flow to the far end.
type SendFlow struct {
	mux    *Mux
	id     uint64
	events SendEvents

	// options is the encoded option list of STARTUP_OPTIONS without its Marker; the
	// metadata is metadata[0]..metadata[1] of it.
	options  []byte
	metadata [2]uint16

	queue    sendQueue
	nextSeq  uint64 // NEXT_SN
	finalSeq uint64 // F_FINAL_SN, 0: none
	topSent  uint64 // the highest sequence number ever sent
	cumAcked uint64 // the highest cumulative acknowledgement
	told     uint64 // the highest forward sequence number sent since the last loss
	gap      uint64 // the highest sequence number given up, sent or not

	outstanding int32 // F_OUTSTANDING_BYTES
	buffer      int32 // the most memory that its queue may take
	window      int64 // RX_BUFFER_SIZE

	readyNext *SendFlow

	at         instant // lingering: the end of it; else when the next buffer probe is due
	probeEvery time.Duration
	exception  *Exception

	booked   int32 // memory counted in the session's account
	timed    int32 // queued messages with a deadline
	priority Priority
	state    sendState
	acked    bool // some acknowledgement has come: no more options
	listed   bool // on Mux.ready
	blocked  bool // Write returned ErrFull
	probe    bool // a buffer probe is due
}

// Open begins a sending flow. Nothing is sent before the first Write or Close. The
// errors are ErrMetadata, ErrTooManyFlows and ErrClosed; the latter also when
// ReturnOf is not open any more.
func (m *Mux) Open(metadata []byte, o SendOptions) (*SendFlow, error) {
	switch {
	case m.err != nil, o.ReturnOf != nil && o.ReturnOf.state != recvOpen:
		return nil, ErrClosed
	case len(metadata) > MaxMetadata:
		return nil, ErrMetadata
	case len(m.send) >= int(m.maxFlows), m.nextID == math.MaxUint32:
		return nil, ErrTooManyFlows
	}
	f := &SendFlow{mux: m, id: uint64(m.nextID), events: o.Events, priority: o.Priority, nextSeq: 1, window: 65536, buffer: m.sendBuffer}
	if o.Buffer > 0 {
		f.buffer = int32(o.Buffer)
	}
	m.nextID++

	// Metadata first, then the association, as every known sender does.
	size := wire.OptionLen(wire.OptionMetadata, len(metadata))
	var association [10]byte
	value := association[:0]
	if o.ReturnOf != nil {
		value = wire.AppendVLU(value, o.ReturnOf.id)
		size += wire.OptionLen(wire.OptionReturnAssociation, len(value))
	}
	f.options = wire.AppendOption(make([]byte, 0, size), wire.OptionMetadata, metadata)
	f.metadata = [2]uint16{uint16(len(f.options) - len(metadata)), uint16(len(f.options))}
	if o.ReturnOf != nil {
		f.options = wire.AppendOption(f.options, wire.OptionReturnAssociation, value)
	}
	m.send = append(m.send, f)
	f.book()
	return f, nil
}

// book brings what the flow counts in its session's account up to date.
func (f *SendFlow) book() {
	now := int32(0)
	if f.state != sendClosed {
		now = flowMemory + int32(cap(f.options)) + f.queue.memory
	}
	f.mux.account.Add(int64(now - f.booked))
	f.booked = now
}

// ID returns the flow's identifier, unique among this end's sending flows.
func (f *SendFlow) ID() uint64 { return f.id }

// Metadata returns what the flow was opened with. The caller does not change it.
func (f *SendFlow) Metadata() []byte { return f.options[f.metadata[0]:f.metadata[1]:f.metadata[1]] }

// Buffered returns how many bytes of memory the messages take that are not yet
// acknowledged to their last byte.
func (f *SendFlow) Buffered() int { return int(f.queue.memory) }

// Priority returns the flow's rank.
func (f *SendFlow) Priority() Priority { return f.priority }

// SetPriority changes the flow's rank for what is sent from now on.
func (f *SendFlow) SetPriority(p Priority) {
	f.priority = p
	if f.listed {
		f.mux.unlist(f)
		f.mux.activate(f)
	}
}

// Write queues msg, or a copy of it, as one message. The errors are a TooLargeError, ErrFull,
// ErrMemory, and, on a flow that is closing or has ended, ErrClosed or the far end's *Exception.
func (f *SendFlow) Write(msg []byte, o WriteOptions) error {
	m := f.mux
	switch {
	case f.exception != nil:
		return f.exception
	case f.state != sendOpen:
		return ErrClosed
	case len(msg) > int(m.maxMessage):
		return &TooLargeError{Size: len(msg), Limit: int(m.maxMessage)}
	}
	// Each fragment must fit into a packet with the largest header it may get
	// (section 3.6.2.2). Neither the sequence number nor its distance to the forward
	// sequence number needs more bytes than this one.
	largest := f.nextSeq + uint64(maxFragments(int(m.maxMessage)))
	size := int(m.room) - ackReserve - wire.ChunkHeaderLen - 1 - wire.VLULen(f.id) - 2*wire.VLULen(largest)
	if !f.acked {
		size -= len(f.options) + 1
	}
	count := max(1, (len(msg)+size-1)/size)
	memory := messageMemory(len(msg), count)
	switch {
	case f.queue.memory > 0 && f.Buffered()+memory > int(f.buffer):
		f.blocked = true
		return ErrFull
	case m.account.overdrawn(int64(memory)):
		return ErrMemory
	}

	if !o.Shared {
		msg = slices.Clone(msg)
	}
	g := &message{flow: f, data: msg, receipt: o.Receipt}
	g.memory = int32(messageMemory(cap(g.data), count))
	if o.Receipt != nil {
		*o.Receipt = Receipt{msg: g}
	}
	f.setDeadlines(g, o)
	f.split(g, count, size)
	m.shared.Stats.MessagesQueued++
	f.update()
	m.host.Wake()
	return nil
}

// split queues g as count fragments of size bytes, the last one excepted.
func (f *SendFlow) split(g *message, count, size int) {
	if count > 1 {
		g.rest = make([]fragment, count-1)
	}
	for i := range count {
		e, fra := &g.first, wire.FragmentWhole
		if i > 0 {
			e = &g.rest[i-1]
		}
		switch {
		case count == 1:
		case i == 0:
			fra = wire.FragmentBegin
		case i == count-1:
			fra = wire.FragmentEnd
		default:
			fra = wire.FragmentMiddle
		}
		e.msg, e.fra, e.seq = g, fra, f.nextSeq
		e.from, e.to = uint32(i*size), uint32(min((i+1)*size, len(g.data)))
		f.nextSeq++
		f.queue.push(e)
	}
}

// Close ends the flow once all that is queued has been acknowledged or abandoned
// (section 3.6.2.11). SendEvents.Closed tells when. It may be called again.
func (f *SendFlow) Close() {
	if f.state != sendOpen {
		return
	}
	f.close()
	f.update()
	f.mux.host.Wake()
}

func (f *SendFlow) close() {
	f.state = sendClosing
	if tail := f.queue.tail; tail != nil && tail.seq == f.nextSeq-1 && !tail.everSent {
		f.finalSeq = tail.seq
		return
	}
	f.finalSeq = f.nextSeq
	f.nextSeq++
	f.queue.push(f.newMarker(f.finalSeq))
}

// newMarker makes an abandoned fragment with no message to it.
func (f *SendFlow) newMarker(seq uint64) *fragment {
	g := &message{flow: f, abandoned: true, memory: messageOverhead}
	e := &g.first
	e.msg, e.seq, e.abandoned = g, seq, true
	return e
}

// settle brings what follows from the queue and the window up to date.
func (f *SendFlow) settle() {
	f.settleForward()
	f.settleProbe()
	f.mux.activate(f)
	f.book()
}

// update settles and tells the user what has come of it. It is called where a
// callback may do anything: outside of walks over queues and lists.
func (f *SendFlow) update() {
	if f.state >= sendLingering {
		return
	}
	f.settle()
	if f.state == sendClosing && f.queue.head == nil {
		f.complete()
		return
	}
	if f.blocked && f.state == sendOpen && f.Buffered() <= int(f.buffer)/2 {
		f.blocked = false
		if f.events != nil {
			f.events.Writable(f)
		}
	}
}

func (f *SendFlow) complete() {
	f.state = sendLingering
	f.setProbe(false)
	f.at = f.mux.now().after(sendLinger)
	f.mux.timers.alarm(f.at)
	var err error
	if f.exception != nil {
		err = f.exception
	}
	f.ended(err)
}

func (f *SendFlow) ended(err error) {
	events := f.events
	f.events = nil
	if events != nil {
		events.Closed(f, err)
	}
}

func (f *SendFlow) abort(err error) {
	for e := f.queue.head; e != nil; e = e.next {
		e.msg.abandoned = true
	}
	f.queue = sendQueue{}
	f.state = sendClosed
	f.book()
	f.ended(err)
}

// advance does what is due and reports whether the flow goes on existing.
func (f *SendFlow) advance(now instant) bool {
	if f.state == sendLingering {
		if f.at.passed(now) {
			f.state = sendClosed
			f.book()
			return false
		}
		f.mux.timers.alarm(f.at)
		return true
	}
	f.advanceProbe(now)
	f.advanceMessages(now)
	f.update()
	return true
}
