package rtmfp

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"net/netip"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/share"
	"pileus/rtmfp/wire"
)

// A keying is an acceptable IIKeying on its way to becoming a session.
type keying struct {
	key, born   uint64
	local, from netip.AddrPort
	farID       wire.SessionID
	far         flash.Certificate
	component   []byte // SKIC
	home        *share.Place
	memory      int64
	answer      []byte // SKRC
	keys        *flash.SessionKeys
	err         error
}

// receiveIIKeying is RFC 7016 3.5.1.1.2. Nothing is kept before the cookie
// proved the address; what follows is bounded by the prefix's ration.
func (e *Engine) receiveIIKeying(d Datagram, body []byte) {
	c, err := wire.ParseIIKeying(body)
	if err != nil || c.SessionID == (wire.SessionID{}) || len(c.Component) > maxComponent || len(c.Certificate) > maxCertificate {
		e.drop(DropMalformed)
		return
	}
	switch e.checkCookie(c.Cookie, d.Peer) {
	case cookieForged, cookieExpired:
		if !e.foreignStartup(d, wire.ChunkIIKeying, body) {
			e.drop(DropCookie)
		}
		return
	case cookieElsewhere, cookieRetired:
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
	// A retransmission is answered with the same RIKeying until the session has been
	// used. After that this is a recording.
	if s := e.unproven.byKey[key]; s != nil {
		e.startup(d.Local, d.Peer, s.farID, s.answer)
		e.unproven.repeated(s, e.now)
		s.alive.hear(e.now) // and may need as long again to use it
		return
	}
	if e.seen.has(e.now, key) {
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
	// The ration binds only while others may have to wait for it.
	if !e.handshakes.Allow(e.now, d.Peer.Addr()) && (e.jobs.strained() || e.shares.strained()) {
		e.drop(DropRate)
		return
	}
	if !e.place(d.Peer) {
		e.drop(DropUnproven)
		return
	}
	home, memory := e.shares.ledger.Enter(d.Peer.Addr()), int64(sessionMemory+len(c.Certificate)+len(c.Component))
	if reason, ok := e.room(home, memory); !ok {
		home.Leave()
		e.drop(reason)
		return
	}
	e.asked++
	k := &keying{
		key: key, born: e.asked, local: d.Local, from: d.Peer, farID: c.SessionID, far: far, component: bytes.Clone(c.Component),
		home: home, memory: memory,
	}
	e.reserve(k)
	e.doFor(k.from.Addr(), func() {
		k.answer, k.keys, k.err = e.cfg.Identity.AnswerKeying(k.far, k.component, e.cfg.Policy, e.keys)
	}, func() {
		if reason, ok := e.finishKeying(k); !ok {
			e.endKeying(k, reason)
		}
	}, func() { e.endKeying(k, DropBusy) })
}

// reserve has a keying count as the session that is to come of it.
func (e *Engine) reserve(k *keying) {
	e.keyings[k.key] = struct{}{}
	e.unproven.reserve(k.from)
	k.home.Account(sharedMemory).Add(k.memory)
	k.home.Account(sharedSessions).Add(1)
}

func (e *Engine) release(k *keying) {
	delete(e.keyings, k.key)
	e.unproven.release(k.from)
	k.home.Account(sharedMemory).Add(-k.memory)
	k.home.Account(sharedSessions).Add(-1)
	k.home.Leave()
}

// endKeying is for a keying of which nothing comes.
func (e *Engine) endKeying(k *keying, reason DropReason) {
	e.release(k)
	e.drop(reason)
}

// admit decides whether an IIKeying from addr may become a session, by what is
// already there. An open session of the same certificate stays until the new one has
// proven itself.
func (e *Engine) admit(addr netip.AddrPort, far flash.Certificate) (DropReason, bool) {
	if o := e.glare(addr, far); o != nil && flash.CompareGlare(e.cfg.Identity.Certificate(), far) <= 0 {
		return DropGlare, false
	}
	// "If the certificate from this IIKeying does not override the certificate
	// of the S_OPEN session, ignore this IIKeying."
	if s := e.byAddr[addr]; s != nil && !far.Overrides(s.far) {
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
func (e *Engine) finishKeying(k *keying) (DropReason, bool) {
	if k.err != nil {
		return DropKeying, false
	}
	// The job took time; look again.
	if reason, ok := e.admit(k.from, k.far); !ok {
		return reason, false
	}
	id, err := e.newID()
	if err != nil {
		return DropBusy, false
	}
	defer e.release(k) // once the session counts
	e.seen.add(e.now, k.key)
	s := e.glare(k.from, k.far)
	adopted := s != nil
	if adopted {
		s.opening.stop(s)
	} else {
		s = e.newSession(k.from, k.local)
	}
	s.initiator, s.born = false, k.born
	s.id, s.farID, s.far = id, k.farID, k.far
	s.addr, s.local = k.from, k.local
	s.answer = &keyingAnswer{key: k.key, given: e.now, chunk: wire.RIKeying{
		SessionID: id, Component: k.answer, Signature: signature,
	}.Append(nil)}
	e.startup(k.local, k.from, k.farID, s.answer)
	e.stats.Accepted++
	s.open(k.keys)
	e.unproven.add(s)
	if adopted {
		s.handler.Opened(s)
	}
	return 0, true
}

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
