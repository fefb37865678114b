package turn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"time"
)

// A noncer makes and checks nonces without keeping any. A nonce is the time and a code over it and the
// client's address: one client's is of no use to another, nor to the same one after nonceLifetime. It
// is 16 characters long, since it goes to strangers and must not be worth reflecting.
type noncer struct {
	key   [32]byte
	began time.Time // what times are counted from: the wall clock may be set
}

const (
	nonceTimeLen = 4 // seconds
	nonceCodeLen = 8
)

func newNoncer() *noncer {
	n := &noncer{began: time.Now()}
	_, _ = rand.Read(n.key[:]) // never fails
	return n
}

func (n *noncer) mint(now time.Time, client netip.Addr) string {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, nonceTimeLen+sha256.Size), n.seconds(now))
	return base64.RawURLEncoding.EncodeToString(n.code(b, client))
}

// valid reports whether nonce was minted for client not too long ago.
func (n *noncer) valid(now time.Time, client netip.Addr, nonce string) bool {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != nonceTimeLen+nonceCodeLen {
		return false
	}
	// In 32 bits, so that it does not matter when they overflow.
	age := n.seconds(now) - binary.BigEndian.Uint32(b)
	if time.Duration(age)*time.Second > nonceLifetime {
		return false
	}
	return hmac.Equal(b, n.code(append(make([]byte, 0, nonceTimeLen+sha256.Size), b[:nonceTimeLen]...), client))
}

func (n *noncer) seconds(now time.Time) uint32 { return uint32(int64(now.Sub(n.began) / time.Second)) }

// code appends the code to b, which is the time.
func (n *noncer) code(b []byte, client netip.Addr) []byte {
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write(b)
	a := client.As16()
	mac.Write(a[:])
	return mac.Sum(b)[:nonceTimeLen+nonceCodeLen]
}
