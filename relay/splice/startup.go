package splice

import (
	"net/netip"
	"slices"
	"time"

	"pileus/relay/guard"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// startup takes a packet with session ID 0, which everybody can read.
func (t *Table) startup(now time.Time, socket int, d udp.Datagram) {
	typ, body, ok := t.chunk(d.Data)
	if !ok {
		t.drop(DropMalformed)
		return
	}
	switch typ {
	case wire.ChunkIHello:
		t.hello(now, socket, d, body)
	case wire.ChunkRHello:
		t.rhello(now, socket, d, body)
	case wire.ChunkRedirect:
		t.redirect(now, socket, d, body)
	case wire.ChunkIIKeying:
		t.iikeying(now, socket, d, body)
	default:
		t.drop(DropUnexpected)
	}
}

// chunk is the first chunk of a startup packet. Only that decides.
func (t *Table) chunk(data []byte) (wire.ChunkType, []byte, bool) {
	if len(data) > maxStartup {
		return 0, nil, false
	}
	packet, err := t.opener.Open(t.plain, data)
	if err != nil {
		return 0, nil, false
	}
	h, chunks, err := wire.ParseHeader(packet)
	if err != nil || h.Mode != wire.ModeStartup {
		return 0, nil, false
	}
	typ, body, _, ok := wire.NextChunk(chunks)
	return typ, body, ok
}

// introduced is the call that a tag belongs to at a socket, nil if there is none.
// What was reserved comes into being here.
func (t *Table) introduced(now time.Time, socket int, tag []byte) *call {
	c := t.calls[callKey{socket, byTag, string(tag)}]
	if c != nil || t.cfg.Reserved == nil || t.unbound >= maxReserved {
		return c
	}
	o, ok := t.cfg.Reserved(now, socket, tag)
	if !ok {
		return nil
	}
	t.Open(now, o)
	return t.calls[callKey{socket, byTag, string(tag)}]
}

// tagged is the side of a call at a socket that a startup packet from there is of.
func (t *Table) tagged(now time.Time, c *call, socket int, caller bool, from netip.AddrPort, size int) (int, bool) {
	if c == nil {
		switch {
		case t.unbound >= maxReserved:
			t.drop(DropRefused)
		case len(t.sockets[socket].sides) == 0:
			t.drop(DropIdlePort)
		default:
			t.drop(DropTag)
		}
		return 0, false
	}
	i := c.from
	if !caller {
		i = 1 - c.from
	}
	side := &c.splice.sides[i]
	if side.socket != socket {
		t.drop(DropTag)
		return 0, false
	}
	if t.cfg.Guard.CheckClient(from, c.splice.sides[i].verified) != guard.Allowed {
		t.drop(DropAddress)
		return 0, false
	}
	// "A side is bound by its first startup packet": nobody unbinds it with a tag.
	if at := c.source[i]; at.IsValid() && at != from {
		t.drop(DropStranger)
		return 0, false
	}
	if !t.heard(now, side, from, size) {
		t.drop(DropUnproven)
		return 0, false
	}
	c.source[i] = from
	return i, true
}

// hello takes an IHello of the initiator. It is not needed as a rule: the target
// was told to send its RHello, and in half of all cases has done so already.
func (t *Table) hello(now time.Time, socket int, d udp.Datagram, body []byte) {
	h, err := wire.ParseIHello(body)
	if err != nil {
		t.drop(DropMalformed)
		return
	}
	c := t.introduced(now, socket, h.Tag)
	i, ok := t.tagged(now, c, socket, true, d.Peer, len(d.Data))
	if !ok {
		return
	}
	c.splice.sides[i].last = now
	if c.hello.data != nil {
		t.drop(DropRepeat)
	} else {
		c.hello = keep(d)
		t.stats.Kept++
	}
	t.went(now, c)
}

// rhello takes an RHello of the target.
func (t *Table) rhello(now time.Time, socket int, d udp.Datagram, body []byte) {
	h, err := wire.ParseRHello(body)
	if err != nil {
		t.drop(DropMalformed)
		return
	}
	if t.proves(now, socket, d.Peer, h) {
		return
	}
	c := t.introduced(now, socket, h.Tag)
	if c != nil && !t.certified(c, 1-c.from, h.Certificate) {
		return
	}
	i, ok := t.tagged(now, c, socket, false, d.Peer, len(d.Data))
	if !ok {
		return
	}
	c.splice.sides[i].last = now
	if c.rhello.data != nil {
		t.drop(DropRepeat)
		return
	}
	if !t.admit(c, h.Cookie) {
		t.drop(DropCookie)
		return
	}
	c.rhello, c.certificate = keep(d), slices.Clone(h.Certificate)
	c.held = now.Add(c.hold)
	t.stats.Kept++
	t.went(now, c)
}

// redirect takes an Implied Redirect: the target would rather see the IHello.
func (t *Table) redirect(now time.Time, socket int, d udp.Datagram, body []byte) {
	r, err := wire.ParseRedirect(body)
	if err != nil {
		t.drop(DropMalformed)
		return
	}
	if len(r.AddressList) > 0 { // elsewhere it would have to be introduced anew
		t.drop(DropUnexpected)
		return
	}
	c := t.introduced(now, socket, r.Tag)
	i, ok := t.tagged(now, c, socket, false, d.Peer, len(d.Data))
	if !ok {
		return
	}
	c.splice.sides[i].last = now
	if c.redirected {
		t.drop(DropRepeat)
		return
	}
	c.redirected = true
	t.stats.Kept++
	t.went(now, c)
}

// iikeying takes an IIKeying of the initiator. Its cookie went out to nobody else,
// so it may come from another source than the IHello did.
func (t *Table) iikeying(now time.Time, socket int, d udp.Datagram, body []byte) {
	k, err := wire.ParseIIKeying(body)
	if err != nil || k.SessionID == (wire.SessionID{}) {
		t.drop(DropMalformed)
		return
	}
	c := t.calls[callKey{socket, byCookie, string(k.Cookie)}]
	if c == nil || c.rhello.sent == 0 {
		t.drop(DropCookie)
		return
	}
	if t.cfg.Guard.CheckClient(d.Peer, c.splice.sides[c.from].verified) != guard.Allowed {
		t.drop(DropAddress)
		return
	}
	if !t.certified(c, c.from, k.Certificate) {
		return
	}
	if c.keyed && k.SessionID != c.initiator {
		t.drop(DropUnexpected)
		return
	}
	if t.yields(now, c, k.Certificate) {
		t.drop(DropGlare)
		return
	}
	s := c.splice
	if !t.heard(now, &s.sides[c.from], d.Peer, len(d.Data)) {
		t.drop(DropUnproven)
		return
	}
	if !t.bound(now, s) {
		t.drop(DropRefused)
		return
	}
	if !s.keyed {
		t.began = append(t.began, Began{
			s.id, [2]flash.PeerID{s.peers[c.from], s.peers[1-c.from]}, [2]netip.AddrPort{s.addrs[c.from], s.addrs[1-c.from]},
		})
	}
	if !c.keyed {
		if c.rhello.sent == 1 { // of several, nobody knows which it answers
			c.rtt = now.Sub(c.rhello.first)
		}
		c.keyed, s.keyed = true, true
		c.initiator = k.SessionID
		c.expires = now.Add(unboundFor)
		s.sides[c.from].learn(c.initiator)
	}
	c.source[c.from], c.asked = d.Peer, now
	t.bind(now, c)
	// A client repeats its IIKeying, or changes its cookie: the last one counts. If it has
	// missed its answer another one has to be had, and that anew.
	first, sent := c.iikeying.first, c.iikeying.sent
	c.iikeying = keep(d)
	if c.iikeying.first, c.iikeying.sent = first, sent; sent == 0 || c.answered {
		c.iikeying.first, c.iikeying.sent = now, 1
	}
	t.forward(now, &s.sides[c.from], d)
	t.schedule(s)
}

// bind makes the places that a call has learned those of the splice.
func (t *Table) bind(now time.Time, c *call) {
	for i := range c.splice.sides {
		d := &c.splice.sides[i]
		t.place(d, c.source[i])
		d.before = netip.AddrPort{}
		d.last = now
	}
}

// certified reports whether a certificate is the one of the peer that was
// introduced, as far as that is known.
func (t *Table) certified(c *call, side int, raw []byte) bool {
	return t.certifies(&c.splice.sides[side], raw)
}

func (t *Table) certifies(s *side, raw []byte) bool {
	want := s.splice.peers[s.index]
	if want == (flash.PeerID{}) {
		return true
	}
	cert, err := flash.ParseCertificate(raw)
	if err != nil || cert.PeerID() != want {
		t.drop(DropCertificate)
		return false
	}
	return true
}

// went lets a call do what a packet has made possible.
func (t *Table) went(now time.Time, c *call) {
	t.advanceCall(now, c)
	t.schedule(c.splice)
}

// progress follows what a packet under a session's ID does for a call that is being
// set up, and reports whether it may pass: RIKeying and Cookie Change come so, but
// under the key of startup.
func (t *Table) progress(now time.Time, s *side, id wire.SessionID, d udp.Datagram) bool {
	for _, c := range slices.Clone(s.splice.calls) {
		switch {
		case c.keyed && s.index != c.from && id == c.initiator:
			if !t.answer(now, c, d) {
				return false
			}
		case c.answered && s.index == c.from && id == c.responder:
			t.cancel(c) // it speaks: it has the RIKeying
			t.schedule(s.splice)
		}
	}
	return true
}

// answer takes what the target of a call sends to its initiator.
func (t *Table) answer(now time.Time, c *call, d udp.Datagram) (pass bool) {
	typ, body, ok := t.chunk(d.Data)
	if !ok {
		return true // the responder may speak before its RIKeying arrives
	}
	if typ == wire.ChunkCookieChange && !c.answered {
		if change, err := wire.ParseCookieChange(body); err == nil && len(c.cookies) < maxCookies && slices.Contains(c.cookies, string(change.OldCookie)) {
			t.admit(c, change.NewCookie)
		}
		return true
	}
	if typ != wire.ChunkRIKeying {
		return true
	}
	k, err := wire.ParseRIKeying(body)
	if err != nil || k.SessionID == (wire.SessionID{}) {
		return true
	}
	if c.answered && k.SessionID == c.responder && !c.misses() {
		return false
	}
	c.answered, c.responder, c.passed = true, k.SessionID, now
	c.splice.sides[1-c.from].learn(k.SessionID)
	t.schedule(c.splice)
	return true
}

// misses reports whether the initiator has asked again after it should have had the
// RIKeying. One that only slept reads two of them at once, derives its keys twice, and
// has those of none; and a target that slept answers IIKeyings that were repeated
// meanwhile one by one.
func (c *call) misses() bool { return c.asked.After(c.passed.Add(max(c.rtt, leastAgain))) }
