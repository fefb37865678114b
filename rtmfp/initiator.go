package rtmfp

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// Target is whom to open a session to.
type Target struct {
	EPD   flash.EPD
	Addrs []netip.AddrPort // first candidates; Redirects may add more, up to 24
	Local netip.AddrPort   // socket to use; zero: one of the candidate's family
	// Retry is the time before the first repeat of an IHello and IIKeying, 1 s
	// if zero; each further one waits 1.5 s longer than the last.
	Retry time.Duration
}

// opening is what S_IHELLO_SENT and S_KEYING_SENT keep besides the session.
type opening struct {
	epd        flash.EPD
	rawEPD     []byte
	tag        string
	retry      time.Duration
	deadline   time.Time
	candidates []candidate

	keying   *flash.InitiatorKeying
	cookie   []byte
	changed  bool // the cookie, once (RFC 7016 3.5.1.2)
	waiting  bool // for a job
	iikeying repeat
	asked    time.Time // when the IIKeying went; zero if it went more than once
	early    [][]byte  // packets that only the session key can open
	held     int64     // bytes of early
}

// A candidate is an address that gets IHellos on a backoff of its own.
type candidate struct {
	addr  netip.AddrPort
	local netip.AddrPort
	repeat
}

// repeat is the schedule of RFC 7016 3.5.1.1.1: "not less than 1.5 seconds
// added to the interval between each attempt".
type repeat struct {
	next     time.Time
	interval time.Duration
}

func (r *repeat) step(now time.Time, first time.Duration) {
	if r.interval == 0 {
		r.interval = first
	} else {
		r.interval += retryStep
	}
	r.next = now.Add(r.interval)
}

// Open begins a session as initiator. Flows may be opened at once; they wait.
// The handler's Closed is called if nobody answers within the open timeout.
func (e *Engine) Open(t Target, h SessionHandler) (*Session, error) {
	if len(e.openings) >= maxOpenings {
		return nil, fmt.Errorf("rtmfp: %d sessions are being opened already", maxOpenings)
	}
	tag := make([]byte, tagLen)
	if _, err := io.ReadFull(e.cfg.Rand, tag); err != nil {
		return nil, fmt.Errorf("rtmfp: tag: %w", err)
	}
	if t.Retry <= 0 {
		t.Retry = defaultRetry
	}
	s := e.newSession(netip.AddrPort{}, t.Local)
	s.handler, s.initiator, s.state = h, true, stateIHelloSent
	s.opening = &opening{
		epd: t.EPD, rawEPD: t.EPD.Append(nil), tag: string(tag), retry: t.Retry, deadline: e.now.Add(e.cfg.OpenTimeout),
	}
	e.openings[s.opening.tag] = s
	for _, a := range t.Addrs {
		s.addCandidate(a, t.Local)
	}
	s.wake()
	return s, nil
}

// addCandidate sends an IHello to addr from now on.
func (s *Session) addCandidate(addr, local netip.AddrPort) {
	o := s.opening
	if len(o.candidates) >= maxCandidates || !usable(addr) {
		return
	}
	for i := range o.candidates {
		if o.candidates[i].addr == addr {
			return
		}
	}
	o.candidates = append(o.candidates, candidate{addr: addr, local: local})
}

// usable reports whether addr can be an endpoint's.
func usable(addr netip.AddrPort) bool {
	ip := addr.Addr()
	return addr.Port() != 0 && ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// targets reports whether addr is a destination of the opening.
func (o *opening) targets(s *Session, addr netip.AddrPort) bool {
	if s.state == stateKeyingSent {
		return s.addr == addr
	}
	for i := range o.candidates {
		if o.candidates[i].addr == addr {
			return true
		}
	}
	return false
}

// advanceOpening sends what is due and returns when it wants to be called next.
func (s *Session) advanceOpening() time.Time {
	o, e := s.opening, s.engine
	if !e.now.Before(o.deadline) {
		s.end(ErrNoAnswer)
		return time.Time{}
	}
	next := o.deadline
	switch s.state {
	case stateIHelloSent:
		for i := range o.candidates {
			c := &o.candidates[i]
			if !e.now.Before(c.next) {
				e.startup(c.local, c.addr, wire.SessionID{}, wire.IHello{EPD: o.rawEPD, Tag: []byte(o.tag)})
				c.step(e.now, o.retry)
			}
			next = earliest(next, c.next)
		}
	case stateKeyingSent:
		if o.waiting {
			break
		}
		if !e.now.Before(o.iikeying.next) {
			s.sendIIKeying()
		}
		next = earliest(next, o.iikeying.next)
	default:
	}
	return next
}

func (s *Session) sendIIKeying() {
	o := s.opening
	o.asked = time.Time{}
	if o.iikeying.interval == 0 {
		o.asked = s.engine.now
	}
	s.engine.startup(s.local, s.addr, wire.SessionID{}, wire.IIKeying{
		SessionID: s.id, Cookie: o.cookie, Certificate: s.engine.cfg.Identity.Certificate().Raw(),
		Component: o.keying.Component(), Signature: signature,
	})
	o.iikeying.step(s.engine.now, o.retry)
}

func (e *Engine) receiveRedirect(d Datagram, body []byte) {
	c, err := wire.ParseRedirect(body)
	if err != nil {
		e.drop(DropMalformed)
		return
	}
	s := e.openings[string(c.Tag)]
	if s == nil || s.state != stateIHelloSent {
		if (len(c.AddressList) > 0 || !e.answered(d, c.Tag)) && !e.foreignStartup(d, wire.ChunkRedirect, body) {
			e.drop(DropTag)
		}
		return
	}
	if len(c.AddressList) == 0 {
		s.addCandidate(d.Peer, d.Local) // "the source address of the packet" (2.3.5)
	}
	for a := range c.Addresses() {
		s.addCandidate(a.AddrPort, netip.AddrPort{})
	}
	s.wake()
}

// receiveRHello takes the first answer with the right certificate; "all others
// are ignored".
func (e *Engine) receiveRHello(d Datagram, body []byte) {
	c, err := wire.ParseRHello(body)
	if err != nil {
		e.drop(DropMalformed)
		return
	}
	s := e.openings[string(c.Tag)]
	if s == nil || s.state != stateIHelloSent {
		if !e.answered(d, c.Tag) && !e.foreignStartup(d, wire.ChunkRHello, body) {
			e.drop(DropTag)
		}
		return
	}
	far, err := flash.ParseCertificate(bytes.Clone(c.Certificate))
	if err != nil || !far.SelectedBy(s.opening.epd) {
		e.drop(DropCertificate)
		return
	}
	// An unproven one from elsewhere may be anybody's who has seen that certificate.
	if other := e.SessionTo(far.PeerID()); other != nil && other != s && (other.answer == nil || other.addr == d.Peer) {
		s.end(&DuplicateError{Session: other})
		return
	}
	id, err := e.newID()
	if err != nil {
		e.drop(DropBusy)
		return
	}
	o := s.opening
	s.state = stateKeyingSent
	s.addr, s.local, s.far, s.id = d.Peer, d.Local, far, id
	e.sessions[id] = s
	o.cookie, o.waiting = bytes.Clone(c.Cookie), true
	var k *flash.InitiatorKeying
	e.do(func() {
		k, err = e.cfg.Identity.BeginKeying(far, e.cfg.Policy, e.keys)
	}, func() {
		if s.opening != o || s.state != stateKeyingSent {
			return
		}
		o.waiting = false
		if err != nil {
			s.end(fmt.Errorf("rtmfp: no common key agreement with %s: %w", s.addr, err))
			return
		}
		o.keying = k
		s.wake()
	})
}

// SessionTo is the session with that peer that is open or has sent its keying, or nil:
// one opened to us that is not proven only if there is no other.
func (e *Engine) SessionTo(p flash.PeerID) *Session {
	var unproven *Session
	for _, s := range e.sessions {
		switch {
		case s.state != stateOpen && s.state != stateKeyingSent || s.far.PeerID() != p:
		case s.answer == nil:
			return s
		default:
			unproven = s
		}
	}
	return unproven
}

// receiveOpening takes a packet with the ID of a session in S_KEYING_SENT:
// RIKeying or Cookie Change under the Default Session Key, or an early packet
// under a session key that is not known yet.
func (s *Session) receiveOpening(d Datagram) {
	e, o := s.engine, s.opening
	packet, err := e.opener.Open(e.plain[:], d.Data)
	if err == nil {
		if h, chunks, err := wire.ParseHeader(packet); err == nil && h.Mode == wire.ModeStartup {
			typ, body, _, ok := wire.NextChunk(chunks)
			switch {
			case ok && typ == wire.ChunkRIKeying:
				s.receiveRIKeying(h, body)
				return
			case ok && typ == wire.ChunkCookieChange:
				s.receiveCookieChange(body)
				return
			}
		}
	}
	if len(o.early) >= maxEarly || d.Peer != s.addr {
		e.drop(DropBusy)
		return
	}
	o.early = append(o.early, bytes.Clone(d.Data))
	o.held += int64(len(d.Data))
	s.memory.Add(int64(len(d.Data)))
}

func (s *Session) receiveCookieChange(body []byte) {
	c, err := wire.ParseCookieChange(body)
	o := s.opening
	if err != nil || o.changed || o.keying == nil || !bytes.Equal(c.OldCookie, o.cookie) {
		s.engine.drop(DropCookie)
		return
	}
	o.cookie, o.changed = bytes.Clone(c.NewCookie), true
	o.iikeying = repeat{}
	s.wake()
}

func (s *Session) receiveRIKeying(h wire.Header, body []byte) {
	e, o := s.engine, s.opening
	c, err := wire.ParseRIKeying(body)
	if err != nil || len(c.Component) > maxComponent || c.SessionID == (wire.SessionID{}) {
		e.drop(DropMalformed)
		return
	}
	if o.keying == nil || o.waiting {
		e.drop(DropState)
		return
	}
	component, answered := bytes.Clone(c.Component), e.now
	o.waiting = true
	var keys *flash.SessionKeys
	e.do(func() { keys, err = o.keying.Finish(component) }, func() {
		if s.opening != o || s.state != stateKeyingSent {
			return
		}
		o.waiting = false
		if err != nil {
			// Anybody can send this; the true one may still come.
			e.drop(DropKeying)
			s.wake()
			return
		}
		early, asked := o.early, o.asked
		o.stop(s)
		s.farID = c.SessionID
		if h.HasTimestamp {
			s.timing.heard(e.now, h.Timestamp)
		}
		e.stats.Initiated++
		s.open(keys)
		if !asked.IsZero() {
			// Else the first timeout would be 3 s, until there is an echo: often the loss of
			// the very first packet. RFC 7016 3.5.2.2 leaves the method open.
			s.measureStartup(answered.Sub(asked))
		}
		s.handler.Opened(s)
		for _, p := range early {
			if s.state == stateOpen {
				s.receive(Datagram{Local: s.local, Peer: s.addr, Data: p})
			}
		}
	})
}

// stop ends the opening, successful or not.
func (o *opening) stop(s *Session) {
	delete(s.engine.openings, o.tag)
	s.memory.Add(-o.held)
	o.held = 0
	if s.state == stateKeyingSent {
		delete(s.engine.sessions, s.id)
	}
	s.opening = nil
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
