package turn

import (
	"net/netip"
	"time"

	"github.com/pion/stun/v2"
)

// rules are what requests are judged by.
type rules struct {
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
	if !hasName || !hasNonce || !hasRealm || len(name) > maxUsername {
		return identity{}, r.answer(stun.ClassErrorResponse, nil, errorCode(stun.CodeBadRequest, "USERNAME, REALM or NONCE"))
	}
	keys, user := s.credentials.keys(s.wall(), name, s.realm)
	if held != nil && held.name == name {
		keys, user = append(keys, held.key), held.user
	}
	key, ok := r.signed(keys)
	if !ok {
		return identity{}, challenge(stun.CodeUnauthorized, "wrong name or password")
	}
	if !s.nonces.valid(now, from, nonce) {
		return identity{}, challenge(stun.CodeStaleNonce, "stale nonce")
	}
	r.trim()
	return identity{name: name, user: user, key: key}, nil
}
