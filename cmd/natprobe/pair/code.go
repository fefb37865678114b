package pair

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Lifetime is how long a code waits for the other side.
const Lifetime = 10 * time.Minute

// alphabet is Crockford's base 32: no letter in it is taken for a digit.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const (
	codeLength = 10 // characters: nine are drawn, 45 bits; the last checks them
	half       = codeLength / 2
)

// Code is what two engineers tell each other. It works once.
type Code struct{ text string }

// NewCode draws a code.
func NewCode() Code {
	var text [codeLength]byte
	drawn := text[:codeLength-1]
	_, _ = rand.Read(drawn) // never fails
	for i, b := range drawn {
		drawn[i] = alphabet[b%byte(len(alphabet))]
	}
	text[codeLength-1] = check(string(drawn))
	return Code{string(text[:])}
}

// ParseCode reads a code as people write it: capitals or not, with blanks and
// hyphens anywhere, O for 0, and I or L for 1.
func ParseCode(s string) (Code, error) {
	text := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(s))
	if len(text) != codeLength || strings.Trim(text, alphabet) != "" {
		return Code{}, fmt.Errorf("%q is no code: that is %d letters and digits, such as %v", s, codeLength, NewCode())
	}
	if text[codeLength-1] != check(text[:codeLength-1]) {
		return Code{}, fmt.Errorf("the code %q is mistyped: a character of it is wrong, or two are swapped", s)
	}
	return Code{text}, nil
}

// String is the code in two halves, for people.
func (c Code) String() string { return c.text[:half] + "-" + c.text[half:] }

// check is the last character. Odd weights make each wrong character show, since
// they have inverses modulo 32.
func check(drawn string) byte {
	sum := 0
	for i := range len(drawn) {
		sum += (2*i + 3) * strings.IndexByte(alphabet, drawn[i])
	}
	return alphabet[sum%len(alphabet)]
}

// keyRounds makes trying all codes take longer than a code lasts: whoever is
// connected to the node may list its names.
const keyRounds = 100_000

// keys are the name under which the first side is found, and the name of the
// streams, by which each side shows that it knows the code. A name does not show
// the code, and cannot be had without it.
func (c Code) keys() (name, stream string, err error) {
	key, err := pbkdf2.Key(sha256.New, c.text, []byte("natprobe pair"), keyRounds, 32)
	if err != nil {
		return "", "", errors.New("this build of natprobe may not derive keys (FIPS mode)")
	}
	return "pair/" + hex.EncodeToString(key[:16]), "pair/" + hex.EncodeToString(key[16:]), nil
}
