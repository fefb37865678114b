package rtmfp

import (
	"time"

	"pileus/rtmfp/wire"
)

// liveness finds out whether the far end is still there (RFC 7016 3.5.4.1).
type liveness struct {
	heard     time.Time     // last verified packet
	keepalive time.Duration // silence that brings a ping; 0 is idlePing
	ping      repeat        // pings that await an answer
	doubted   time.Time     // when another endpoint proved to be at the address; zero once this one is heard
}

// hear notes that the far end is there.
func (l *liveness) hear(now time.Time) { *l = liveness{heard: now, keepalive: l.keepalive} }

// doubt is for a session whose address another endpoint has proved to be at. Either
// this one has gone without a close, and a NAT or a program gave its port to the
// other; or somebody on the path wants it to seem so, whom an answer belies.
func (s *Session) doubt() {
	if s.alive.doubted.IsZero() {
		s.alive.doubted = s.engine.now
		s.wake()
	}
}

// dies is when the session ends if the far end is not heard again.
func (l *liveness) dies(after time.Duration) time.Time {
	end := l.heard.Add(after)
	if l.doubted.IsZero() {
		return end
	}
	return earliest(end, l.doubted.Add(doubtTimeout))
}

// SetKeepalive pings the far end after that much silence; 0 means two minutes.
// A far end that stays silent for three such periods, or 30 s if that is
// longer, is dead.
func (s *Session) SetKeepalive(d time.Duration) {
	s.alive.keepalive = d
	s.wake()
}

// Heard is when the far end was last heard.
func (s *Session) Heard() time.Time { return s.alive.heard }

func (l *liveness) period() time.Duration {
	if l.keepalive > 0 {
		return l.keepalive
	}
	return idlePing
}

// checkAlive sends a ping that is due, or ends the session; it returns when it
// wants to be called next.
func (s *Session) checkAlive() time.Time {
	l, now := &s.alive, s.engine.now
	if !s.proven && !s.initiator {
		end := l.dies(provenTimeout)
		if !now.Before(end) {
			s.end(ErrUnused)
		}
		return end
	}
	dead := l.dies(max(3*l.period(), minDead))
	if !now.Before(dead) {
		s.end(ErrDead)
		return time.Time{}
	}
	due := l.heard.Add(l.period())
	switch {
	case l.ping.interval != 0:
		due = l.ping.next
	case !l.doubted.IsZero():
		due = now
	}
	if !now.Before(due) {
		s.sendChunk(wire.Ping{}.Append)
		// "SHOULD NOT be sent more often than once per ERTO"
		l.ping.step(now, s.timing.erto)
		due = l.ping.next
	}
	return earliest(due, dead)
}

// Ping sends a keepalive ping now. Any answer shows in RTT and Heard.
func (s *Session) Ping() {
	if s.state == stateOpen {
		s.sendChunk(wire.Ping{}.Append)
	}
}

func (s *Session) receivePing(d Datagram, body []byte) {
	if len(body) > maxPingMessage {
		s.engine.drop(DropMalformed)
		return
	}
	// The message aliases the packet, which the reply does not overwrite. The
	// reply to a mobility check must come from where the check was sent to.
	s.sendChunkTo(wire.PingReply{Message: body}.Append, s.addr, d.Local)
}
