package rtmfp

import (
	"net/netip"
	"slices"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/share"
	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

type state uint8

// The states of RFC 7016 3.5. S_OPEN_FAILED is stateClosed with an error.
const (
	stateIHelloSent state = iota
	stateKeyingSent
	stateOpen
	stateNearClose
	stateFarCloseLinger
	stateClosed
)

// Session is one end of an RTMFP session (RFC 7016 3.5).
type Session struct {
	engine  *Engine
	handler SessionHandler // nil until a responder's session is proven
	mux     *flow.Mux
	keys    *flash.SessionKeys
	far     flash.Certificate
	addr    netip.AddrPort // DESTADDR
	local   netip.AddrPort

	state         state
	initiator     bool
	proven        bool
	queued        bool // in engine.dirty
	introductions IntroductionMode
	id, farID     wire.SessionID
	born          uint64 // sessions asked for before

	received, sent uint64 // bytes of UDP payload

	memory flow.Account
	base   int64        // what of it is not of flows
	home   *share.Place // where it counts; nil: nowhere yet

	timing    timing
	alive     liveness
	forwarded udp.Bucket
	mobility  mobilityState
	timer     timerEntry
	timeline  *Timeline // nil: it is not watched

	opening *opening      // while opening as initiator
	answer  *keyingAnswer // while the session is in engine.unproven
	closing *closing      // in S_NEARCLOSE and S_FARCLOSE_LINGER
	next    *Session      // another one at addr
}

func (e *Engine) newSession(addr, local netip.AddrPort) *Session {
	s := &Session{engine: e, addr: addr, local: local, introductions: e.cfg.Introductions}
	s.timer.owner = s
	s.memory.Init(e.shares.memory(), 0)
	s.mux = flow.NewMux((*host)(s), flow.Config{MaxMessage: e.cfg.MaxMessage, Shared: &e.shared, Account: &s.memory})
	return s
}

// open moves to S_OPEN.
func (s *Session) open(keys *flash.SessionKeys) {
	e := s.engine
	s.state, s.keys = stateOpen, keys
	s.alive.heard = e.now
	s.timing.init()
	e.sessions[s.id] = s
	s.settle()
	if s.initiator {
		e.index(s)
	}
	s.wake()
}

// index puts a session under its far address: one that this end opened, or that is proven.
func (e *Engine) index(s *Session) {
	s.next = e.byAddr[s.addr]
	e.byAddr[s.addr] = s
}

func (e *Engine) unindex(s *Session) {
	at := e.byAddr[s.addr]
	if at == s {
		if s.next == nil {
			delete(e.byAddr, s.addr)
		} else {
			e.byAddr[s.addr] = s.next
		}
	}
	for ; at != nil; at = at.next {
		if at.next == s {
			at.next = s.next
		}
	}
	s.next = nil
}

// prove notes the first packet that decrypted under the session key: only now
// is the far end's certificate known to be its own.
func (s *Session) prove() {
	s.proven = true
	if s.initiator {
		return
	}
	if a := s.answer; a != nil && !a.repeated { // of several, nobody knows which arrived
		s.measureStartup(s.engine.now.Sub(a.given))
	}
	if !s.takePlace() {
		return
	}
	if s.handler != nil { // adopted
		return
	}
	if s.handler = s.engine.cfg.Handler.Accept(s); s.handler == nil {
		s.handler = refused{}
		s.abrupt(ErrRefused)
		return
	}
	s.handler.Opened(s)
}

// takePlace puts a session that is proven now in the place of those that the same
// endpoint had at its address. It reports false if another endpoint was faster.
func (s *Session) takePlace() bool {
	e := s.engine
	at, born := e.unproven.at[s.addr], s.born
	e.unproven.remove(s)
	if old := e.byAddr[s.addr]; old != nil && !s.far.Overrides(old.far) {
		old.doubt()
		e.drop(DropSameAddress)
		s.end(ErrUnused)
		return false
	}
	for old := e.byAddr[s.addr]; old != nil; {
		next := old.next
		if s.far.Overrides(old.far) {
			e.stats.Overridden++
			old.end(ErrOverridden)
		}
		old = next
	}
	// What was asked for before is not wanted any more; a late packet must not bring
	// it back.
	for _, o := range slices.Clone(at.sessions) {
		if o.born < born && o.far.Overrides(s.far) {
			o.end(ErrUnused)
		}
	}
	e.index(s)
	return true
}

// refused is the handler of a session that Handler.Accept did not want.
type refused struct{}

func (refused) Opened(*Session)        {}
func (refused) Moved(*Session)         {}
func (refused) Closed(*Session, error) {}
func (refused) Incoming(*Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{}, ErrRefused
}

// Engine is the session's engine.
func (s *Session) Engine() *Engine { return s.engine }

// Far is the far end's certificate; empty before an RHello arrived.
func (s *Session) Far() flash.Certificate { return s.far }

// PeerID is the fingerprint of the far end's certificate.
func (s *Session) PeerID() flash.PeerID { return s.far.PeerID() }

// Addr is the far end's address as observed here.
func (s *Session) Addr() netip.AddrPort { return s.addr }

// Local is the address of the socket the far end sends to.
func (s *Session) Local() netip.AddrPort { return s.local }

// Initiator reports whether this end opened the session.
func (s *Session) Initiator() bool { return s.initiator }

// Open reports whether the session is in S_OPEN.
func (s *Session) Open() bool { return s.state == stateOpen }

// Proven reports whether the far end has shown that it holds its key.
func (s *Session) Proven() bool { return s.proven }

// RTT is the smoothed round-trip time, 0 before the first measurement.
func (s *Session) RTT() time.Duration { return s.timing.srtt }

// Bytes is the UDP payload that opened under the session key, and that was sent
// under it.
func (s *Session) Bytes() (received, sent uint64) { return s.received, s.sent }

// Nonces are the session's near and far nonces (RFC 7425 4.6.5), for challenges
// of the application; nil before S_OPEN.
func (s *Session) Nonces() (near, far []byte) {
	if s.keys == nil {
		return nil, nil
	}
	return s.keys.NearNonce[:], s.keys.FarNonce[:]
}

// SetIntroductions sets the answer to FIHellos from this far end.
func (s *Session) SetIntroductions(m IntroductionMode) { s.introductions = m }

// OpenFlow opens a sending flow.
func (s *Session) OpenFlow(metadata []byte, o flow.SendOptions) (*flow.SendFlow, error) {
	if s.state > stateOpen {
		return nil, ErrClosed
	}
	return s.mux.Open(metadata, o)
}

// host is the session as its flows see it: a flow.Host.
type host Session

func (h *host) Now() time.Time { return h.engine.now }
func (h *host) Wake()          { (*Session)(h).wake() }

func (h *host) Incoming(f *flow.RecvFlow) (flow.Accept, error) {
	return h.handler.Incoming((*Session)(h), f)
}

// wake queues the session for the next Flush.
func (s *Session) wake() {
	if !s.queued && s.state != stateClosed {
		s.queued = true
		s.engine.dirty = append(s.engine.dirty, s)
	}
}

// advance runs what is due.
func (s *Session) advance() {
	if s.state == stateOpen {
		s.mux.Advance()
	}
	s.wake()
}

// flush sends what there is to send and sets the timer.
func (s *Session) flush() {
	var next time.Time
	switch s.state {
	case stateIHelloSent, stateKeyingSent:
		next = s.advanceOpening()
	case stateOpen:
		next = s.checkAlive()
		if s.state != stateOpen {
			return
		}
		for range burstPackets {
			if !s.sendFlows() {
				break
			}
		}
		next = earliest(next, s.mux.Deadline())
	case stateNearClose, stateFarCloseLinger:
		next = s.advanceClosing()
	case stateClosed:
		return
	}
	if s.state != stateClosed && !next.IsZero() {
		s.engine.timers.schedule(&s.timer, next.Sub(s.engine.epoch))
	}
}

// end moves to S_CLOSED.
func (s *Session) end(err error) {
	if s.state == stateClosed {
		return
	}
	s.leaveOpen(err)
	s.remove()
}

// leaveOpen ends all that only an opening or S_OPEN session has.
func (s *Session) leaveOpen(err error) {
	switch {
	case s.opening != nil:
		s.opening.stop(s)
	case s.state == stateOpen && s.answer != nil:
		s.engine.unproven.remove(s)
	case s.state == stateOpen:
		s.engine.unindex(s)
	default:
		return
	}
	s.state = stateClosed
	s.mux.Abort(err)
	if s.handler != nil {
		s.handler.Closed(s, err)
	}
}

func (s *Session) remove() {
	s.state = stateClosed
	if s.engine.sessions[s.id] == s {
		delete(s.engine.sessions, s.id)
	}
	s.engine.timers.remove(&s.timer)
	s.unsettle()
	s.closing = nil
}
