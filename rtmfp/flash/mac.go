package flash

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"fmt"
	"hash"
	"sync"
)

// macKey is an HMAC-SHA256 key, kept as the two hash states behind its inner and
// outer padding block, encoded. A crypto/hmac object would be three times as
// large, and a node holds two keys for each session.
type macKey []byte

func newMACKey(key [sha256.Size]byte) (macKey, error) {
	var states macKey
	for _, pad := range []byte{0x36, 0x5c} { // ipad and opad of RFC 2104
		var block [sha256.BlockSize]byte
		copy(block[:], key[:])
		for i := range block {
			block[i] ^= pad
		}
		h := sha256.New()
		h.Write(block[:])
		state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("flash: SHA-256 state: %w", err)
		}
		states = append(states, state...)
	}
	return states[:len(states):len(states)], nil
}

// macScratch is what computing an HMAC needs besides the key.
type macScratch struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

// macScratches serves all sessions, for they are many and packets come one at a
// time.
var macScratches = sync.Pool{New: func() any { return &macScratch{hash: sha256.New()} }}

// append appends the first length bytes of message's HMAC to b, which may hold
// the message.
func (k macKey) append(b, message []byte, length int) []byte {
	s := macScratches.Get().(*macScratch)
	b = append(b, s.compute(k, message)[:length]...)
	macScratches.Put(s)
	return b
}

// verify reports whether mac is the truncated HMAC of message.
func (k macKey) verify(message, mac []byte) bool {
	s := macScratches.Get().(*macScratch)
	ok := subtle.ConstantTimeCompare(s.compute(k, message)[:len(mac)], mac) == 1
	macScratches.Put(s)
	return ok
}

func (s *macScratch) compute(k macKey, message []byte) []byte {
	state := s.hash.(encoding.BinaryUnmarshaler)
	// States that this package's own hash has marshalled always unmarshal.
	_ = state.UnmarshalBinary(k[:len(k)/2])
	s.hash.Write(message)
	inner := s.hash.Sum(s.sum[:0])
	_ = state.UnmarshalBinary(k[len(k)/2:])
	s.hash.Write(inner)
	return s.hash.Sum(s.sum[:0])
}

// hmacSHA256 is HMAC-SHA256(K, M) of RFC 7425 section 2.
func hmacSHA256(key, message []byte) []byte {
	digest := sum(hmac.New(sha256.New, key), message)
	return digest[:]
}

// sum returns the digest of message alone.
func sum(h hash.Hash, message []byte) (digest [sha256.Size]byte) {
	h.Reset()
	h.Write(message)
	h.Sum(digest[:0])
	return digest
}
