package flash

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"filippo.io/bigmod"
)

var (
	// ErrGroup is a Diffie-Hellman group that is not supported, or not common to
	// both ends.
	ErrGroup = errors.New("flash: no common Diffie-Hellman group")
	// ErrPublicKey is a public key that RFC 7425 section 4.6.2 forbids.
	ErrPublicKey = errors.New("flash: unacceptable Diffie-Hellman public key")
)

// KeyPair is a Diffie-Hellman key pair. It is immutable.
type KeyPair struct {
	group   Group
	private []byte
	public  []byte
}

// GenerateKey makes a key pair with an exponent of 256, 320, 320 or 480 bits for
// groups 2, 5, 14 and 16. A nil rand means crypto/rand.
//
// Its public key always has the group's full length, because librtmfp and older
// Flash code read keying fields at fixed places; one pair in 256 is thrown away
// for that.
func GenerateKey(g Group, random io.Reader) (*KeyPair, error) {
	p := g.params()
	if p == nil {
		return nil, fmt.Errorf("%w: %v", ErrGroup, g)
	}
	if random == nil {
		random = rand.Reader
	}
	private := make([]byte, p.exponent)
	for {
		if _, err := io.ReadFull(random, private); err != nil {
			return nil, fmt.Errorf("flash: key generation: %w", err)
		}
		public := p.fixedBase().pow(private).Bytes(p.mod())
		if public[0] != 0 && p.acceptable(public) {
			return &KeyPair{group: g, private: private, public: public}, nil
		}
	}
}

// RestoreKey makes the key pair of a known private exponent, in network byte
// order and of any length up to the group's prime.
func RestoreKey(g Group, private []byte) (*KeyPair, error) {
	p := g.params()
	if p == nil {
		return nil, fmt.Errorf("%w: %v", ErrGroup, g)
	}
	if len(private) == 0 || len(private) > p.size {
		return nil, fmt.Errorf("flash: private key of %d bytes for %v", len(private), g)
	}
	two := bigmod.NewNat().ExpandFor(p.mod())
	two.Bits()[0] = 2
	public := bytes.TrimLeft(bigmod.NewNat().Exp(two, private, p.mod()).Bytes(p.mod()), "\x00")
	if !p.acceptable(public) {
		return nil, ErrPublicKey
	}
	return &KeyPair{group: g, private: bytes.Clone(private), public: public}, nil
}

// Group returns the pair's group.
func (k *KeyPair) Group() Group { return k.group }

// Public returns the public key in network byte order without leading zeros.
// The caller must not modify it.
func (k *KeyPair) Public() []byte { return k.public }

// Secret returns DH_SECRET of RFC 7425 section 4.6.2: the shared secret in
// network byte order without leading zeros. It fails with ErrPublicKey if the
// far end's public key is not acceptable.
func (k *KeyPair) Secret(far []byte) ([]byte, error) {
	p := k.group.params()
	if !p.acceptable(far) {
		return nil, ErrPublicKey
	}
	y, err := bigmod.NewNat().SetBytes(bytes.TrimLeft(far, "\x00"), p.mod())
	if err != nil {
		return nil, ErrPublicKey
	}
	secret := bigmod.NewNat().Exp(y, k.private, p.mod()).Bytes(p.mod())
	return bytes.TrimLeft(secret, "\x00"), nil
}
