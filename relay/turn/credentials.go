package turn

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what the TURN REST API uses
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v2"
)

// Credentials are who may have a relay: named users, and whoever shows a name and password that one of
// the secrets made. An immutable value.
type Credentials struct {
	Users map[string]string // name to password
	// Secrets of time-limited names (draft-uberti-behave-turn-rest-00): the name is EXPIRY or EXPIRY:USER,
	// EXPIRY in Unix seconds, and the password is base64(HMAC-SHA1(secret, name)). All are accepted, so
	// that one may be replaced while names of the old one are about.
	Secrets []string
}

// none reports whether nobody can have a relay.
func (c *Credentials) none() bool { return len(c.Users) == 0 && len(c.Secrets) == 0 }

// keys are those under which a request of this user may be signed (RFC 8489 section 9.2.2), none if it
// cannot be. user is who it is: time-limited names are different each time, quotas are not. flaw is what is
// to be said of the name to who has signed with one of keys.
func (c *Credentials) keys(now time.Time, name, realm string) (keys []stun.MessageIntegrity, user string, flaw NameFlaw) {
	if password, ok := c.Users[name]; ok {
		return []stun.MessageIntegrity{stun.NewLongTermIntegrity(name, realm, password)}, name, flawNone
	}
	for _, secret := range c.Secrets {
		keys = append(keys, stun.NewLongTermIntegrity(name, realm, Password(secret, name)))
	}
	_, user, _ = strings.Cut(name, ":")
	if user == "" {
		user = name
	}
	expiry, err := expiryOf(name)
	switch {
	case err != nil:
		flaw = FlawNoTime
	case expiry <= now.Unix():
		flaw = FlawExpired
	case expiry-now.Unix() > int64(farExpiry/time.Second):
		flaw = FlawFar
	}
	return keys, user, flaw
}

// expiryOf is the time of a time-limited name, in Unix seconds.
func expiryOf(name string) (int64, error) {
	expiry, _, _ := strings.Cut(name, ":")
	return strconv.ParseInt(expiry, 10, 64)
}

// A NameFlaw is what is wrong with a name that one of the secrets has made a password for: a program that has
// the secret is mistaken, or its clock.
type NameFlaw uint8

const (
	flawNone    NameFlaw = iota
	FlawExpired          // its time is over
	FlawNoTime           // it does not begin with a time in seconds, as that of a program that divides milliseconds
	FlawFar              // its time is so far away that it may be in milliseconds; it is good all the same
	numFlaws
)

// farExpiry is more than anybody means by a time limit.
const farExpiry = 100 * 365 * 24 * time.Hour

func (f NameFlaw) String() string {
	return [...]string{"none", "expired", "no_time", "far"}[min(f, numFlaws-1)]
}

// NameFlaws lists them.
func NameFlaws() []NameFlaw { return []NameFlaw{FlawExpired, FlawNoTime, FlawFar} }

// refusal is what the client is told; "" if the name will do.
func (f NameFlaw) refusal(now time.Time, name string) string {
	switch f {
	case FlawExpired:
		expiry, _ := expiryOf(name)
		return fmt.Sprintf("this name expired %d s ago, by this server's clock", now.Unix()-expiry)
	case FlawNoTime:
		return "a name begins with its expiry in whole Unix seconds"
	default:
		return ""
	}
}

// Password is that of a time-limited name.
func Password(secret, name string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(name))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
