package rtmfp

import (
	"container/list"
	"net/netip"
	"slices"
	"time"
)

// unproven are the sessions opened to us in which nothing has decrypted yet. Of their far
// ends an address is known and a certificate, which whoever watches the network has seen,
// and no key. So such a session changes nothing: it is at no address for others to find,
// takes no other session's place, and ends without anybody being told. Its first packet
// that decrypts makes it count (Session.prove).
//
// RFC 7016 3.5.1.1.2 has a new session override an open one with its IIKeying, which is
// meant to be signed. In the Flash profile the signature is empty (RFC 7425 4.3.5).
type unproven struct {
	byKey map[uint64]*Session
	at    map[netip.AddrPort]*atAddress
	byAge list.List // of *Session, the longest unanswered first
}

// atAddress is who asks for a session from one address.
type atAddress struct {
	sessions []*Session
	keyings  int // with a job under way
}

func (a *atAddress) n() int { return len(a.sessions) + a.keyings }

// keyingAnswer is what repeats of an IIKeying get, until the session is used.
type keyingAnswer struct {
	key      uint64
	chunk    []byte
	given    time.Time // the latest time
	repeated bool
	place    *list.Element
}

// Append implements the chunk interface of Engine.startup.
func (a *keyingAnswer) Append(b []byte) []byte { return append(b, a.chunk...) }

// reserve takes a place at addr for an IIKeying.
func (u *unproven) reserve(addr netip.AddrPort) {
	a := u.at[addr]
	if a == nil {
		if u.at == nil {
			u.at, u.byKey = make(map[netip.AddrPort]*atAddress), make(map[uint64]*Session)
		}
		a = new(atAddress)
		u.at[addr] = a
	}
	a.keyings++
}

// release gives such a place back.
func (u *unproven) release(addr netip.AddrPort) {
	u.at[addr].keyings--
	u.tidy(addr)
}

func (u *unproven) tidy(addr netip.AddrPort) {
	if u.at[addr].n() == 0 {
		delete(u.at, addr)
	}
}

// add takes a session whose address has a place reserved, by its keying.
func (u *unproven) add(s *Session) {
	a := u.at[s.addr]
	a.sessions = append(a.sessions, s)
	u.byKey[s.answer.key] = s
	s.answer.place = u.byAge.PushBack(s)
}

func (u *unproven) remove(s *Session) {
	a := u.at[s.addr]
	a.sessions = slices.DeleteFunc(a.sessions, func(o *Session) bool { return o == s })
	u.tidy(s.addr)
	delete(u.byKey, s.answer.key)
	u.byAge.Remove(s.answer.place)
	s.answer = nil
}

// repeated notes that s is asked for again: it is still wanted.
func (u *unproven) repeated(s *Session, now time.Time) {
	s.answer.given, s.answer.repeated = now, true
	u.byAge.MoveToBack(s.answer.place)
}

// place reports whether addr may ask for one more session. Where there are as many as
// may be, the one unanswered for longest gives way, but none whose first packet may
// be on its way: forged IIKeyings push out neither each other nor a true one.
func (e *Engine) place(addr netip.AddrPort) bool {
	a := e.unproven.at[addr]
	if a == nil || a.n() < maxUnproven {
		return true
	}
	if len(a.sessions) == 0 {
		return false
	}
	oldest := slices.MinFunc(a.sessions, func(x, y *Session) int { return x.answer.given.Compare(y.answer.given) })
	return e.giveWay(oldest)
}

// giveWay ends an unproven session for another's sake, if it is old enough. Whoever
// asked for it may do so again.
func (e *Engine) giveWay(s *Session) bool {
	if e.now.Sub(s.answer.given) < unprovenYoung {
		return false
	}
	e.seen.forget(s.answer.key)
	e.stats.GaveWay++
	s.end(ErrUnused)
	return true
}
