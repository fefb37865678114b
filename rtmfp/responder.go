package rtmfp

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// A keying is an acceptable IIKeying on its way to becoming a session.
type keying struct {
	key         uint64
	local, from netip.AddrPort
	farID       wire.SessionID
	far         flash.Certificate
	component   []byte // SKIC
	answer      []byte // SKRC
	keys        *flash.SessionKeys
	err         error
}

// receiveIIKeying is RFC 7016 3.5.1.1.2. Nothing is kept before the cookie
// proved the address; what follows is bounded by the prefix's ration.
func (e *Engine) receiveIIKeying(d Datagram, body []byte) {
	c, err := wire.ParseIIKeying(body)
	if err != nil || c.SessionID == (wire.SessionID{}) || len(c.Component) > maxComponent {
		e.drop(DropMalformed)
		return
	}
	switch e.cookies.check(c.Cookie, e.now, d.Peer) {
	case cookieForged, cookieExpired:
		if !e.foreignStartup(d, wire.ChunkIIKeying, body) {
			e.drop(DropCookie)
		}
		return
	case cookieElsewhere:
		var fresh [cookieLen]byte
		e.startup(d.Local, d.Peer, c.SessionID, wire.CookieChange{
			OldCookie: c.Cookie, NewCookie: e.cookies.append(fresh[:0], e.now, d.Peer),
		})
		return
	case cookieValid:
	}
	key := e.keyingHash(d.Peer, c)
	if _, waiting := e.keyings[key]; waiting {
		return // a repeat, while the answer is being computed
	}
	if e.seen.has(e.now, key) {
		// A retransmission is answered with the same RIKeying until the session
		// has been used. After that this is a recording.
		if s := e.byAddr[d.Peer]; s != nil && s.answer != nil && s.answer.key == key {
			e.startup(d.Local, d.Peer, s.farID, s.answer)
			s.answer.repeated = true
			s.alive.hear(e.now) // and may need as long again to use it
			return
		}
		e.drop(DropReplay)
		return
	}
	far, err := flash.ParseCertificate(bytes.Clone(c.Certificate))
	if err != nil {
		e.drop(DropCertificate)
		return
	}
	if reason, ok := e.admit(d.Peer, far); !ok {
		e.drop(reason)
		return
	}
	if len(e.keyings) >= maxKeyings || len(e.sessions) >= maxSessions {
		e.drop(DropBusy)
		return
	}
	if !e.handshakes.Allow(e.now, d.Peer.Addr()) {
		e.drop(DropRate)
		return
	}
	k := &keying{
		key: key, local: d.Local, from: d.Peer, farID: c.SessionID, far: far, component: bytes.Clone(c.Component),
	}
	e.keyings[key] = struct{}{}
	e.do(func() {
		k.answer, k.keys, k.err = e.cfg.Identity.AnswerKeying(k.far, k.component, e.cfg.Policy, e.keys)
	}, func() { e.finishKeying(k) })
}

// admit decides whether an IIKeying from addr may become a session, by what is
// already there.
func (e *Engine) admit(addr netip.AddrPort, far flash.Certificate) (DropReason, bool) {
	if o := e.glare(addr, far); o != nil && flash.CompareGlare(e.cfg.Identity.Certificate(), far) <= 0 {
		return DropGlare, false
	}
	// "If the certificate from this IIKeying does not override the certificate
	// of the S_OPEN session, ignore this IIKeying."
	if s := e.byAddr[addr]; s != nil && !bytes.Equal(s.far.Raw(), far.Raw()) {
		s.doubt()
		return DropSameAddress, false
	}
	return 0, true
}

// glare finds the opening session that an IIKeying from addr collides with
// (RFC 7016 3.5.1.3): addr is one of its destinations, and the certificate is
// the one it looks for. (A candidate address may also belong to a Redirector,
// whose IIKeying is no glare.)
func (e *Engine) glare(addr netip.AddrPort, far flash.Certificate) *Session {
	for _, s := range e.openings {
		if s.opening.targets(s, addr) && far.SelectedBy(s.opening.epd) {
			return s
		}
	}
	return nil
}

// finishKeying opens the session, or adopts the one that lost a glare.
func (e *Engine) finishKeying(k *keying) {
	delete(e.keyings, k.key)
	if k.err != nil {
		e.drop(DropKeying)
		return
	}
	// The job took time; look again.
	if reason, ok := e.admit(k.from, k.far); !ok {
		e.drop(reason)
		return
	}
	id, err := e.newID()
	if err != nil {
		e.drop(DropBusy)
		return
	}
	if old := e.byAddr[k.from]; old != nil {
		old.end(ErrOverridden)
	}
	e.seen.add(e.now, k.key)
	s := e.glare(k.from, k.far)
	adopted := s != nil
	if adopted {
		s.opening.stop(s)
	} else {
		s = e.newSession(k.from, k.local)
	}
	s.initiator = false
	s.id, s.farID, s.far = id, k.farID, k.far
	s.addr, s.local = k.from, k.local
	s.answer = &keyingAnswer{key: k.key, sent: e.now, chunk: wire.RIKeying{
		SessionID: id, Component: k.answer, Signature: signature,
	}.Append(nil)}
	e.startup(k.local, k.from, k.farID, s.answer)
	e.stats.Accepted++
	s.open(k.keys)
	if adopted {
		s.handler.Opened(s)
	}
}

// keyingAnswer is what repeats of an IIKeying get, until the session is used.
type keyingAnswer struct {
	key      uint64
	chunk    []byte
	sent     time.Time
	repeated bool
}

// Append implements the chunk interface of Engine.startup.
func (a *keyingAnswer) Append(b []byte) []byte { return append(b, a.chunk...) }

// signature is the field that the Flash profile leaves unused (RFC 7425 4.3.5):
// one byte "X" in every implementation.
var signature = []byte{'X'}

// keyingHash names an IIKeying by everything that makes it one.
func (e *Engine) keyingHash(from netip.AddrPort, c wire.IIKeying) uint64 {
	var h maphash.Hash
	h.SetSeed(e.seed)
	var n [8]byte
	for _, f := range [][]byte{c.SessionID[:], c.Cookie, c.Certificate, c.Component} {
		binary.BigEndian.PutUint64(n[:], uint64(len(f)))
		_, _ = h.Write(n[:])
		_, _ = h.Write(f)
	}
	ip := from.Addr().As16()
	_, _ = h.Write(ip[:])
	binary.BigEndian.PutUint64(n[:], uint64(from.Port()))
	_, _ = h.Write(n[:])
	return h.Sum64()
}
