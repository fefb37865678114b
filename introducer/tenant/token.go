package tenant

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// MaxLife is the longest time a token may be good for.
	MaxLife = 5 * time.Minute
	// maxToken is the longest token that is looked at, in bytes.
	maxToken = 2048
	// maxSpent bounds the tokens that are remembered as used, for MaxLife at
	// most. Above it further ones are refused: a token used twice is worse.
	maxSpent = 1 << 18
	// version stands before a token, so that another form can follow.
	version = "p1."
)

// Token is what a tenant's server grants one client.
type Token struct {
	Tenant  string `json:"tenant"`
	App     string `json:"app,omitempty"`     // the only application it is for; empty: any
	Name    string `json:"name,omitempty"`    // the client is to be known by
	Pending int    `json:"pending,omitempty"` // introductions it may have under way; 0: the node's limit
	Expires int64  `json:"exp"`               // seconds since 1970
	ID      string `json:"id"`                // good once
}

// Issue signs a token that is good for life from now on. It sets Expires and ID.
func (t Token) Issue(secret []byte, now time.Time, life time.Duration) (string, error) {
	if life <= 0 || life > MaxLife {
		return "", fmt.Errorf("tenant: a token is good for %v at most", MaxLife)
	}
	t.Expires, t.ID = now.Add(life).Unix(), rand.Text()
	body, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	text := version + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(secret, text)), nil
}

func sign(secret []byte, text string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Why a token is not taken, in words for its bearer.
var (
	ErrNoToken   = errors.New("this application wants a token as the first argument of connect")
	ErrMalformed = errors.New("the token is malformed")
	ErrSignature = errors.New("the token's signature is wrong")
	ErrTenant    = errors.New("the token belongs to another developer key")
	ErrApp       = errors.New("the token is for another application")
	ErrExpired   = errors.New("the token has expired")
	ErrTooLong   = errors.New("the token would be good for more than five minutes")
	ErrSpent     = errors.New("the token was used before")
	ErrBusy      = errors.New("too many tokens at once; connect again in some minutes")
)

// Spend takes a token for a client of c that wants to use app. It is good once.
func (t *Tenants) Spend(now time.Time, c Config, app, text string) (Token, error) {
	token, err := open(c.Secret, text)
	switch {
	case err != nil:
		return Token{}, err
	case token.Tenant != c.Name:
		return Token{}, ErrTenant
	case token.App != "" && token.App != app:
		return Token{}, ErrApp
	}
	expires := time.Unix(token.Expires, 0)
	switch {
	case !now.Before(expires):
		return Token{}, ErrExpired
	case expires.Sub(now) > MaxLife:
		return Token{}, ErrTooLong
	}
	return token, t.spent.add(now, c.Name+"\n"+token.ID)
}

func open(secret []byte, text string) (Token, error) {
	var token Token
	if text == "" {
		return token, ErrNoToken
	}
	dot := strings.LastIndexByte(text, '.')
	if len(text) > maxToken || !strings.HasPrefix(text, version) || dot < len(version) {
		return token, ErrMalformed
	}
	mac, err := base64.RawURLEncoding.DecodeString(text[dot+1:])
	if err != nil {
		return token, ErrMalformed
	}
	if !hmac.Equal(mac, sign(secret, text[:dot])) {
		return token, ErrSignature
	}
	body, err := base64.RawURLEncoding.DecodeString(text[len(version):dot])
	if err != nil || json.Unmarshal(body, &token) != nil || token.ID == "" || token.Pending < 0 {
		return Token{}, ErrMalformed
	}
	return token, nil
}

// spent is the tokens that were used, until they expire, in two halves: what is
// in the older one has expired when the newer one has aged by MaxLife.
type spent struct {
	newer, older map[string]struct{}
	began        time.Time // newer
}

func (s *spent) add(now time.Time, id string) error {
	if now.Sub(s.began) > MaxLife {
		s.older, s.newer, s.began = s.newer, make(map[string]struct{}), now
		if s.older == nil {
			s.older = s.newer
		}
	}
	_, a := s.newer[id]
	_, b := s.older[id]
	switch {
	case a || b:
		return ErrSpent
	case len(s.newer) >= maxSpent:
		return ErrBusy
	}
	s.newer[id] = struct{}{}
	return nil
}
