package rtmfp

import (
	"time"

	"pileus/rtmfp/wire"
)

// closing is what S_NEARCLOSE and S_FARCLOSE_LINGER keep (RFC 7016 3.5.5).
type closing struct {
	until time.Time
	next  time.Time // of the next Session Close Request
}

// Close ends the session in an orderly way: all its flows end at once, and the
// far end is told until it answers, for 90 s at most. An opening is given up.
func (s *Session) Close() { s.CloseError(ErrClosed) }

// CloseError is Close with another reason for the handler.
func (s *Session) CloseError(err error) {
	switch s.state {
	case stateIHelloSent, stateKeyingSent:
		s.end(err)
	case stateOpen:
		s.leaveOpen(err)
		s.state = stateNearClose
		s.closing = &closing{until: s.engine.now.Add(closeTimeout), next: s.engine.now}
		s.wake()
	default:
	}
}

// Abort ends the session at once, telling the far end a single time.
func (s *Session) Abort(err error) {
	if s.state == stateOpen {
		s.abrupt(err)
		return
	}
	s.end(err)
}

func (s *Session) abrupt(err error) {
	s.sendChunk(wire.AppendCloseAck)
	s.end(err)
}

func (s *Session) receiveCloseRequest() {
	s.sendChunk(wire.AppendCloseAck)
	if s.state != stateOpen {
		return
	}
	s.leaveOpen(ErrFarClosed)
	s.state = stateFarCloseLinger
	s.closing = &closing{until: s.engine.now.Add(lingerTimeout)}
	s.wake()
}

// advanceClosing repeats the request and ends the wait; it returns when it
// wants to be called next.
func (s *Session) advanceClosing() time.Time {
	c, now := s.closing, s.engine.now
	if !now.Before(c.until) {
		s.remove()
		return time.Time{}
	}
	if s.state == stateFarCloseLinger {
		return c.until
	}
	if !now.Before(c.next) {
		s.sendChunk(wire.AppendCloseRequest)
		c.next = now.Add(closeInterval)
	}
	return earliest(c.next, c.until)
}
