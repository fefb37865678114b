package flow

import "pileus/rtmfp/wire"

// Receiver takes the messages of a receiving flow.
type Receiver interface {
	// Message is called with each complete message. msg is valid during the call.
	Message(f *RecvFlow, msg []byte)

	// Ended is called once, unless this end rejected the flow by Reject: with nil
	// when the far end has closed the flow and all its messages were delivered, else
	// with what ended it.
	Ended(f *RecvFlow, err error)
}

// GapReceiver is a Receiver that wants to know when messages are missing.
type GapReceiver interface {
	Receiver

	// Gap is called before the first message after one or more that the sender
	// abandoned: "a gap indication MUST be communicated to the receiving user"
	// (section 3.6.1.2). It is not called on flows that deliver as received;
	// there RecvFlow.Seq tells.
	Gap(f *RecvFlow)
}

// Accept is the answer to Host.Incoming.
type Accept struct {
	Receiver Receiver

	// AsReceived has messages delivered as soon as they are complete. Else they are
	// delivered in the order in which they were queued.
	AsReceived bool

	// Capacity is the receive buffer in bytes; 0: DefaultCapacity, negative: none, so
	// that the sender stays suspended until SetCapacity.
	Capacity int
}

type recvState uint8

const (
	recvOpen recvState = iota
	recvRejected
	recvLingering // complete
	recvClosed
)

// RecvFlow is a flow from the far end.
type RecvFlow struct {
	mux      *Mux
	id       uint64
	receiver Receiver
	metadata string
	returnOf *SendFlow

	seen      seqSet
	held      holdings
	finalSeq  uint64 // RF_FINAL_SN, 0: unknown
	delivered uint64 // the last sequence number of the last message delivered in order
	current   uint64 // the first sequence number of the message being delivered
	code      uint64 // EXCEPTION_CODE

	owingNext *RecvFlow
	at        instant // end of the linger

	capacity   int32
	booked     int32  // memory counted in the session's account
	advertised int16  // PREV_RWND, in blocks; -1: none
	unused     uint16 // entries that the list of held has had before and behind what it has

	state      recvState
	asReceived bool
	hold       bool
	owes       bool // SHOULD_ACK
	delivering bool // within deliver
}

// ID returns the flow's identifier, unique among the far end's flows at one time.
func (f *RecvFlow) ID() uint64 { return f.id }

// Metadata returns what the far end opened the flow with.
func (f *RecvFlow) Metadata() []byte { return []byte(f.metadata) }

// ReturnOf returns the sending flow that this one answers, or nil.
func (f *RecvFlow) ReturnOf() *SendFlow { return f.returnOf }

// Seq returns the sequence number of the first fragment of the message being
// delivered, which orders messages by when they were queued. It is valid within
// Receiver.Message.
func (f *RecvFlow) Seq() uint64 { return f.current }

// Reject refuses the rest of the flow with an exception (section 3.6.3.7). Nothing is
// delivered any more. It has no effect on a flow that has ended.
func (f *RecvFlow) Reject(code uint64) {
	if f.state != recvOpen {
		f.receiver = nil
		f.held = holdings{}
		f.book()
		return
	}
	f.receiver = nil
	f.reject(code)
	f.mux.host.Wake()
}

func (f *RecvFlow) reject(code uint64) {
	f.mux.shared.Stats.FlowsRejected++
	f.state, f.code = recvRejected, code
	f.held = holdings{}
	f.book()
	f.mux.owe(f)
	f.mux.pending.now = true
}

// book brings what the flow counts in its session's account up to date.
func (f *RecvFlow) book() {
	now := int32(0)
	if f.state != recvClosed {
		now = flowMemory + int32(len(f.metadata)) + f.held.memory + int32(runMemory*cap(f.seen.runs))
	}
	f.mux.account.Add(int64(now - f.booked))
	f.booked = now
}

// fail rejects a flow by itself: "the exception code MUST be 0" (section 2.3.16).
func (f *RecvFlow) fail(err error) {
	f.reject(0)
	f.ended(err)
}

// SetHold suspends or resumes delivery. A flow on hold fills its buffer and then
// stops its sender.
func (f *RecvFlow) SetHold(hold bool) {
	if f.hold == hold {
		return
	}
	f.hold = hold
	if !hold {
		f.deliverHeld()
		f.deliver()
		f.book()
	}
	f.windowChanged()
}

// SetCapacity changes the receive buffer, in bytes, up to MaxCapacity. 0 stops the
// sender.
func (f *RecvFlow) SetCapacity(n int) {
	f.capacity = int32(min(max(n, 0), MaxCapacity))
	f.windowChanged()
}

// windowChanged sends an acknowledgement unasked if the window was nearly closed and
// has opened.
func (f *RecvFlow) windowChanged() {
	if f.state == recvOpen && (f.advertised == 0 || f.advertised == 1) && f.window() > uint64(f.advertised) {
		f.mux.owe(f)
		f.mux.pending.now = true
		f.mux.host.Wake()
	}
}

func (f *RecvFlow) ended(err error) {
	receiver := f.receiver
	f.receiver = nil
	if receiver != nil {
		receiver.Ended(f, err)
	}
}

func (f *RecvFlow) abort(err error) {
	f.state = recvClosed
	f.held = holdings{}
	f.book()
	f.ended(err)
}

// complete does section 3.6.3.8.
func (f *RecvFlow) complete() {
	f.state = recvLingering
	f.at = f.mux.now().after(recvLinger)
	f.mux.timers.alarm(f.at)
	f.mux.owe(f)
	f.mux.pending.now = true
}

// advance does what is due and reports whether the flow goes on existing. One on
// hold stays until its messages have been delivered.
func (f *RecvFlow) advance(now instant) bool {
	if f.state != recvLingering || f.at == 0 {
		return true
	}
	if !f.at.passed(now) {
		f.mux.timers.alarm(f.at)
		return true
	}
	if f.receiver != nil && f.hold || f.owes {
		f.at = now.after(recvLinger)
		f.mux.timers.alarm(f.at)
		return true
	}
	f.state = recvClosed
	f.book()
	return false
}

func (m *Mux) receiveProbe(body []byte) {
	c, err := wire.ParseBufferProbe(body)
	if err != nil {
		m.drop(DropMalformed)
		return
	}
	_, f := m.findRecv(c.Flow)
	if f == nil {
		m.drop(DropUnknownFlow)
		return
	}
	m.owe(f)
	m.pending.now = true
}
