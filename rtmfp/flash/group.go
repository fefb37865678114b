package flash

import (
	"bytes"
	"encoding/hex"
	"math/bits"
	"strconv"
	"sync"

	"filippo.io/bigmod"
)

// Group is a Diffie-Hellman MODP group by its IKE number, which is also its
// group ID on the wire (RFC 7425 section 4.2).
type Group uint8

// The supported groups.
const (
	Group2  Group = 2  // 1024 bits: the only one every endpoint has
	Group5  Group = 5  // 1536 bits
	Group14 Group = 14 // 2048 bits
	Group16 Group = 16 // 4096 bits
)

func (g Group) String() string { return "group " + strconv.Itoa(int(g)) }

// Supported reports whether g is one of the groups above.
func (g Group) Supported() bool { return g.params() != nil }

// Size returns the length in bytes of the group's prime, and so of its longest
// public key and shared secret.
func (g Group) Size() int {
	if p := g.params(); p != nil {
		return p.size
	}
	return 0
}

// groupOf turns a group ID read from the wire into a Group; ok is false for
// those we do not implement.
func groupOf(id uint64) (g Group, ok bool) {
	if id > 0xff {
		return 0, false
	}
	return Group(id), Group(id).Supported()
}

// groupParams are the constants of one group. Everything derived from the prime
// is made on first use: the tables of the large groups are not small, and most
// processes only ever need group 2.
type groupParams struct {
	prime    string // hexadecimal
	size     int    // bytes of the prime
	exponent int    // bytes of a private key
	window   int    // bits of exponent per entry of the fixed-base table

	load    sync.Once
	modulus *bigmod.Modulus
	highest []byte // largest acceptable public key, RFC 7425 section 4.6.2

	loadBase sync.Once
	base     fixedBase
}

// Exponents have twice the bits of the group's strength (RFC 3526 section 8,
// the higher estimate), which is all that a safe prime needs.
var (
	group2  = groupParams{prime: prime2, size: 128, exponent: 32, window: 5}
	group5  = groupParams{prime: prime5, size: 192, exponent: 40, window: 5}
	group14 = groupParams{prime: prime14, size: 256, exponent: 40, window: 5}
	group16 = groupParams{prime: prime16, size: 512, exponent: 60, window: 4}
)

func (g Group) params() *groupParams {
	switch g {
	case Group2:
		return &group2
	case Group5:
		return &group5
	case Group14:
		return &group14
	case Group16:
		return &group16
	}
	return nil
}

func (p *groupParams) mod() *bigmod.Modulus {
	p.load.Do(func() {
		prime, err := hex.DecodeString(p.prime)
		if err != nil {
			panic("flash: prime is not hexadecimal: " + err.Error())
		}
		if p.modulus, err = bigmod.NewModulus(prime); err != nil {
			panic("flash: prime is not a modulus: " + err.Error())
		}
		// All these primes end in 64 one bits: subtracting 2^24 clears one of them.
		p.highest = prime
		p.highest[len(prime)-4]--
	})
	return p.modulus
}

func (p *groupParams) fixedBase() *fixedBase {
	p.loadBase.Do(func() { p.base.build(p.mod(), p.exponent*8, p.window) })
	return &p.base
}

// Limits of RFC 7425 section 4.6.2 on public keys.
const (
	lowestPublicLen = 4 // bytes: the value is at least 2^24
	minPublicOnes   = 16
	minPublicZeros  = 16 // not counting leading zeros
)

// acceptable applies RFC 7425 section 4.6.2 to a public key in network byte
// order, leading zeros allowed. Public keys are public: no constant time here.
func (p *groupParams) acceptable(public []byte) bool {
	p.mod()
	public = bytes.TrimLeft(public, "\x00")
	if len(public) < lowestPublicLen || len(public) > p.size {
		return false
	}
	if len(public) == p.size && bytes.Compare(public, p.highest) > 0 {
		return false
	}
	ones := 0
	for _, b := range public {
		ones += bits.OnesCount8(b)
	}
	zeros := len(public)*8 - bits.LeadingZeros8(public[0]) - ones
	return ones >= minPublicOnes && zeros >= minPublicZeros
}
