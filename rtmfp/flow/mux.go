package flow

import (
	"slices"
	"time"

	"pileus/rtmfp/wire"
)

// Host is the session as its flows see it. It is an interface because the session
// imports this package and because tests join two Muxes without any session.
type Host interface {
	// Now returns the engine's current instant. It never goes back.
	Now() time.Time

	// Wake tells that there may be something to send, or that Deadline changed,
	// through a call that came from outside the session.
	Wake()

	// Incoming offers a receiving flow that has just begun. An *Exception rejects it
	// with its code, any other error, or an Accept without Receiver, with code 0.
	Incoming(f *RecvFlow) (Accept, error)
}

// Config holds what may differ between engines. The zero Config is the default.
type Config struct {
	MaxMessage int // bytes, sent and received; 0: DefaultMaxMessage
	MaxFlows   int // per direction; 0: DefaultMaxFlows
	SendBuffer int // bytes per sending flow; 0: DefaultSendBuffer

	// Room is the space for chunks, in bytes, that every empty packet has: the
	// smallest limit-len(b) that Fill gets for a packet with nothing else in it.
	// 0: DefaultRoom.
	Room int

	// BitmapAcks has Bitmap Acks sent, where they are shorter, before the far end has
	// sent one. Else only Range Acks are, for the reference implementation reads no
	// more than the cumulative part of a Bitmap Ack and would notice losses by timeout
	// alone.
	BitmapAcks bool

	// Shared joins the Muxes of one engine. nil: this Mux is alone.
	Shared *Shared

	// Account is charged with what the Mux holds in memory; nil: one of its own,
	// without a limit.
	Account *Account
}

// Mux is the flows of one session.
type Mux struct {
	host    Host
	shared  *Shared
	account *Account
	err     error // why it was aborted

	send []*SendFlow // ascending ID
	recv []*RecvFlow // ascending ID

	ready *SendFlow // flows with something to send, highest priority first
	owing ackList   // flows that owe an acknowledgement

	flight  flightList
	cc      congestion
	timers  timers
	tc      timeCritical
	nextID  uint32
	ecn     ecnState
	probes  uint16 // sending flows whose buffer probe is due
	pending pendingAck
	bitmaps bool // the far end reads Bitmap Acks

	maxMessage, maxFlows, sendBuffer, room int32
}

// NewMux makes the flows of a session that has just opened.
func NewMux(h Host, c Config) *Mux {
	m := &Mux{host: h, shared: c.Shared, account: c.Account, nextID: 2, bitmaps: c.BitmapAcks}
	if m.shared == nil {
		m.shared = new(Shared)
	}
	if m.account == nil {
		m.account = new(Account)
	}
	m.shared.begin(h.Now())
	m.maxMessage = int32(orDefault(c.MaxMessage, DefaultMaxMessage))
	m.maxFlows = int32(orDefault(c.MaxFlows, DefaultMaxFlows))
	m.room = int32(max(minRoom, orDefault(c.Room, DefaultRoom)))
	m.sendBuffer = int32(orDefault(c.SendBuffer, DefaultSendBuffer))
	m.cc.reset()
	m.timers.reset()
	return m
}

// messageMemory is what a message takes that is queued in count fragments.
func messageMemory(size, count int) int {
	return size + messageOverhead + (count-1)*sendFragmentMemory
}

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

// ReceiveChunk takes one chunk of a packet that verified, in order. It reports
// whether the chunk is one of those that flows are made of; what is wrong with such
// a chunk is counted, never an error. body is not kept.
func (m *Mux) ReceiveChunk(typ wire.ChunkType, body []byte) (handled bool) {
	switch typ {
	case wire.ChunkUserData, wire.ChunkNextUserData, wire.ChunkAckRanges, wire.ChunkAckBitmap,
		wire.ChunkBufferProbe, wire.ChunkFlowException, wire.ChunkECNReport:
	default:
		return false
	}
	if m.err != nil {
		m.drop(DropClosed)
		return true
	}
	if p := &m.shared.packet; p.mux != m {
		*p = packetState{mux: m, preAck: m.cc.outstanding}
	}
	switch typ {
	case wire.ChunkUserData:
		m.receiveUserData(body)
	case wire.ChunkNextUserData:
		m.receiveNextUserData(body)
	case wire.ChunkAckRanges:
		m.receiveAckRanges(body)
	case wire.ChunkAckBitmap:
		m.receiveAckBitmap(body)
	case wire.ChunkBufferProbe:
		m.receiveProbe(body)
	case wire.ChunkFlowException:
		m.receiveException(body)
	default: // wire.ChunkECNReport
		m.receiveECNReport(body)
	}
	return true
}

// PacketInfo is what the session knows about a received packet as a whole.
type PacketInfo struct {
	TimeCritical, TimeCriticalReverse bool  // the packet header's flags
	ECN                               uint8 // the low two bits of the IP TOS
}

// ReceiveEnd ends a received packet: what must be judged once per packet.
func (m *Mux) ReceiveEnd(p PacketInfo) {
	if m.err != nil {
		return
	}
	m.tc.received(m, p)
	m.ecn.received(m, p.ECN)
	if s := &m.shared.packet; s.mux == m {
		if s.data {
			m.pending.dataPacket()
		}
		m.acksProcessed(s)
		*s = packetState{}
	}
}

// Abort ends all flows with err, since the session is over. Every flow that has not
// ended is told err, once.
func (m *Mux) Abort(err error) {
	if m.err != nil {
		return
	}
	if err == nil {
		err = ErrClosed
	}
	m.err = err
	m.shared.forget(m)
	send, recv := m.send, m.recv
	m.send, m.recv, m.ready = nil, nil, nil
	m.owing, m.flight, m.pending = ackList{}, flightList{}, pendingAck{}
	m.timers.stop()
	m.cc.outstanding, m.probes = 0, 0
	for _, f := range send {
		f.abort(err)
	}
	for _, f := range recv {
		f.abort(err)
	}
}

// Moved resets congestion control and the timeout: the far end has another address
// and nothing is known of the new path (section 3.5.4.2).
func (m *Mux) Moved() {
	outstanding := m.cc.outstanding
	m.cc.reset()
	m.cc.outstanding = outstanding
	m.timers.erto, m.timers.mrto = initialRTO, initialRTO
}

// Idle reports whether no flow is open or closing in either direction and no
// acknowledgement is owed. Flows that linger after their end do not count.
func (m *Mux) Idle() bool {
	return m.owing.head == nil &&
		!slices.ContainsFunc(m.send, func(f *SendFlow) bool { return f.state <= sendClosing }) &&
		!slices.ContainsFunc(m.recv, func(f *RecvFlow) bool { return f.state <= recvRejected })
}

// Stats returns the counters this Mux adds to, those of its Config.Shared.
func (m *Mux) Stats() *Stats { return &m.shared.Stats }

func (m *Mux) drop(r DropReason) { m.shared.Stats.Dropped[r]++ }

// instant is a point of time, in nanoseconds since Shared.epoch; 0 is never.
type instant int64

func (m *Mux) now() instant { return instant(m.host.Now().Sub(m.shared.epoch)) }

func (t instant) after(d time.Duration) instant { return t + instant(d) }

// within reports whether t was and is no longer than d before now.
func (t instant) within(d time.Duration, now instant) bool { return t != 0 && now-t <= instant(d) }

func (t instant) passed(now instant) bool { return t != 0 && t <= now }

// earlier returns the earlier of t and u, of which either may be never.
func (t instant) earlier(u instant) instant {
	if t == 0 || u != 0 && u < t {
		return u
	}
	return t
}

func (m *Mux) findSend(id uint64) *SendFlow {
	i, ok := slices.BinarySearchFunc(m.send, id, func(f *SendFlow, id uint64) int { return compare(f.id, id) })
	if !ok {
		return nil
	}
	return m.send[i]
}

func (m *Mux) findRecv(id uint64) (i int, f *RecvFlow) {
	i, ok := slices.BinarySearchFunc(m.recv, id, func(f *RecvFlow, id uint64) int { return compare(f.id, id) })
	if !ok {
		return i, nil
	}
	return i, m.recv[i]
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
