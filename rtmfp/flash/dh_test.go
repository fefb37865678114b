package flash

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"
	"testing/cryptotest"

	"pgregory.net/rapid"
)

var allGroups = []Group{Group2, Group5, Group14, Group16}

// TestGenerateKey: a full-length public key of 2 to a short exponent, agreed on
// with math/big, and a common secret.
func TestGenerateKey(t *testing.T) {
	exponents := map[Group]int{Group2: 256, Group5: 320, Group14: 320, Group16: 480}
	for _, g := range allGroups {
		t.Run(g.String(), func(t *testing.T) {
			var keys [2]*KeyPair
			for i := range keys {
				k, err := GenerateKey(g, nil)
				if err != nil {
					t.Fatal(err)
				}
				if len(k.private)*8 != exponents[g] || len(k.Public()) != g.Size() || k.Group() != g {
					t.Fatalf("exponent of %d bits, public key of %d bytes", len(k.private)*8, len(k.Public()))
				}
				if want := bigPublic(g, k.private); !bytes.Equal(k.Public(), want) {
					t.Fatalf("public key %x, want %x", k.Public(), want)
				}
				keys[i] = k
			}
			s0, err0 := keys[0].Secret(keys[1].Public())
			s1, err1 := keys[1].Secret(keys[0].Public())
			if err0 != nil || err1 != nil || !bytes.Equal(s0, s1) {
				t.Errorf("secrets %x, %v and %x, %v", s0, err0, s1, err1)
			}
		})
	}
}

func bigPublic(g Group, private []byte) []byte {
	p, _ := new(big.Int).SetString(g.params().prime, 16)
	return new(big.Int).Exp(big.NewInt(2), new(big.Int).SetBytes(private), p).Bytes()
}

func TestPrimes(t *testing.T) {
	for _, g := range allGroups {
		p, ok := new(big.Int).SetString(g.params().prime, 16)
		if !ok || len(p.Bytes()) != g.Size() || p.BitLen() != g.Size()*8 {
			t.Fatalf("%v: prime of %d bits", g, p.BitLen())
		}
		half := new(big.Int).Rsh(p, 1)
		if !p.ProbablyPrime(1) || !half.ProbablyPrime(1) {
			t.Errorf("%v: not a safe prime", g)
		}
		highest := new(big.Int).Sub(p, big.NewInt(1<<24))
		g.params().mod()
		if !bytes.Equal(g.params().highest, highest.Bytes()) {
			t.Errorf("%v: highest public key is not p - 2^24", g)
		}
	}
}

// TestFixedBase compares the table with bigmod's own exponentiation, at the
// digits' edges and anywhere, for windows that do and do not divide the exponent.
func TestFixedBase(t *testing.T) {
	m := group2.mod()
	for _, window := range []int{1, 4, 5, maxWindow} {
		var f fixedBase
		f.build(m, 80, window)
		check := func(t interface{ Errorf(string, ...any) }, e []byte) {
			got := f.pow(e).Bytes(m)
			if want := bigPublic(Group2, e); !bytes.Equal(bytes.TrimLeft(got, "\x00"), want) {
				t.Errorf("window %d: 2^%x = %x, want %x", window, e, got, want)
			}
		}
		for _, fill := range []byte{0, 0xff, 1, 0x80} {
			check(t, bytes.Repeat([]byte{fill}, 10))
		}
		rapid.Check(t, func(t *rapid.T) {
			check(t, rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "exponent"))
		})
	}
}

func TestKeyErrors(t *testing.T) {
	if _, err := GenerateKey(1, nil); !errors.Is(err, ErrGroup) {
		t.Errorf("group 1: %v", err)
	}
	if _, err := RestoreKey(3, []byte{1}); !errors.Is(err, ErrGroup) {
		t.Errorf("group 3: %v", err)
	}
	if _, err := GenerateKey(Group2, bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a key from 31 random bytes")
	}
	for _, private := range [][]byte{nil, make([]byte, 129), {5}} {
		if _, err := RestoreKey(Group2, private); err == nil {
			t.Errorf("restored a key from %x", private)
		}
	}
	// A zero exponent gives 1, which is no acceptable key: the next one is taken.
	random := append(make([]byte, 32), bytes.Repeat([]byte{0xa5}, 32)...)
	k, err := GenerateKey(Group2, bytes.NewReader(random))
	if err != nil || !bytes.Equal(k.private, random[32:]) {
		t.Errorf("key %+v, %v", k, err)
	}
}

// TestSecretLeadingZeros looks for a secret that is one byte short, as one in 256
// is.
func TestSecretLeadingZeros(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	far, err := GenerateKey(Group2, nil)
	if err != nil {
		t.Fatal(err)
	}
	private := make([]byte, 2)
	for range 5000 {
		if _, err := rand.Read(private); err != nil {
			t.Fatal(err)
		}
		near := KeyPair{group: Group2, private: private}
		secret, err := near.Secret(far.Public())
		if err != nil {
			t.Fatal(err)
		}
		if len(secret) < Group2.Size() {
			if secret[0] == 0 {
				t.Errorf("secret %x starts with 0", secret)
			}
			return
		}
	}
	t.Error("no short secret in 5000")
}

func TestKeyPool(t *testing.T) {
	p := NewKeyPool(3, Group2)
	for range 5 {
		if work := p.Refill(Group2); work != nil {
			work()
		}
	}
	late := p.Refill(Group2)
	if p.Len(Group2) != 3 || late != nil {
		t.Fatalf("pool of %d pairs with room %v, want 3 and none", p.Len(Group2), late != nil)
	}
	seen := make(map[string]bool)
	for range 8 {
		k, err := p.Take(Group2)
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(k.Public())] {
			t.Fatal("a pair was handed out twice")
		}
		seen[string(k.Public())] = true
	}

	work := []func(){p.Refill(Group2), p.Refill(Group2), p.Refill(Group2), p.Refill(Group2)}
	for _, w := range work { // asked for before any had run: one too many
		w()
	}
	if p.Len(Group2) != 3 {
		t.Errorf("pool of %d pairs, want 3", p.Len(Group2))
	}
	if p.Refill(Group5) != nil || p.Len(Group5) != 0 {
		t.Error("room for a group that the pool does not keep")
	}
	if k, err := p.Take(Group5); err != nil || k.Group() != Group5 {
		t.Errorf("group 5: %v", err)
	}
	if _, err := p.Take(7); !errors.Is(err, ErrGroup) {
		t.Errorf("group 7: %v", err)
	}
}
