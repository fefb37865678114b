package turn

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what the TURN REST API uses
	"encoding/base64"
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

// keys are those under which a request of this user may be signed (RFC 8489 section 9.2.2), none if the
// name is unknown or its time is over. user is who it is: time-limited names are different each time,
// quotas are not.
func (c *Credentials) keys(now time.Time, name, realm string) (keys []stun.MessageIntegrity, user string) {
	if password, ok := c.Users[name]; ok {
		return []stun.MessageIntegrity{stun.NewLongTermIntegrity(name, realm, password)}, name
	}
	expiry, user, _ := strings.Cut(name, ":")
	seconds, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil || seconds <= now.Unix() {
		return nil, ""
	}
	for _, secret := range c.Secrets {
		keys = append(keys, stun.NewLongTermIntegrity(name, realm, Password(secret, name)))
	}
	if user == "" {
		user = name
	}
	return keys, user
}

// Password is that of a time-limited name.
func Password(secret, name string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(name))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
