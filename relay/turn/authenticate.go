package turn

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pion/stun/v2"
)

// rules are what requests are judged by.
type rules struct {
	count       *counters
	flawed      func(name string, f NameFlaw)
	realm       string
	credentials *Credentials
	alternates  []netip.Addr
	relays      []netip.Addr // where relay sockets are bound
	nonces      *noncer
	wall        func() time.Time // of time-limited names
}

// identity is who signed a request.
type identity struct {
	name string // as in USERNAME
	user string // for quotas
	key  stun.MessageIntegrity
}

// authenticate finds out who signed r. held is the identity that opened the allocation of this 5-tuple,
// if there is one: it goes on when the time of its name is over or its secret is replaced. If refusal is
// not nil, it is the answer.
func (s *rules) authenticate(now time.Time, r *request, from netip.Addr, held *identity) (id identity, refusal []byte) {
	challenge := func(code stun.ErrorCode, reason string) []byte {
		return r.answer(stun.ClassErrorResponse, nil, errorCode(code, reason),
			stun.NewRealm(s.realm), stun.NewNonce(s.nonces.mint(now, from)))
	}
	if !r.Contains(stun.AttrMessageIntegrity) {
		if len(r.Raw) == stunHeader {
			return identity{}, challenge(stun.CodeUnauthorized, "") // three times as long as it is
		}
		return identity{}, challenge(stun.CodeUnauthorized, "log in")
	}
	unsigned := request{Message: r.Message}
	unsigned.trim()
	name, hasName := unsigned.text(stun.AttrUsername)
	nonce, hasNonce := unsigned.text(stun.AttrNonce)
	_, hasRealm := unsigned.text(stun.AttrRealm)
	lacks := ""
	switch {
	case !hasName:
		lacks = "USERNAME is missing"
	case len(name) > maxUsername:
		lacks = fmt.Sprintf("USERNAME is longer than %d bytes", maxUsername)
	case !hasRealm:
		lacks = "REALM is missing"
	case !hasNonce:
		lacks = "NONCE is missing"
	}
	if lacks != "" {
		return identity{}, r.answer(stun.ClassErrorResponse, nil, errorCode(stun.CodeBadRequest, lacks))
	}
	wall := s.wall()
	keys, user, flaw := s.credentials.keys(wall, name, s.realm)
	if held != nil && held.name == name {
		keys, user, flaw = append(keys, held.key), held.user, flawNone
	}
	key, ok := r.signed(keys)
	if !ok {
		return identity{}, challenge(stun.CodeUnauthorized, "wrong name or password")
	}
	if !s.nonces.valid(now, from, nonce) {
		return identity{}, challenge(stun.CodeStaleNonce, "stale nonce")
	}
	// Only who has the secret that made the password gets so far: nobody learns by it which names there are.
	if flaw != flawNone {
		s.count.flaws[flaw].Add(1)
		if s.flawed != nil {
			s.flawed(name, flaw)
		}
		if words := flaw.refusal(wall, name); words != "" {
			return identity{}, challenge(stun.CodeUnauthorized, words)
		}
	}
	r.trim()
	return identity{name: name, user: user, key: key}, nil
}
