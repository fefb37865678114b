package flash

import (
	"crypto/subtle"

	"filippo.io/bigmod"
)

// maxWindow bounds the window of a fixedBase, and so the stack its look-up needs.
const maxWindow = 6

// fixedBase raises 2 to secret exponents with one multiplication for each
// window of exponent bits and no squarings. bigmod.Nat.Mul converts one operand
// to Montgomery form each time, which is half its cost, so windows are as wide
// as the constant-time look-up, which reads the whole window, allows.
type fixedBase struct {
	modulus *bigmod.Modulus
	window  int
	limbs   int
	// powers holds 2^(d * 2^(window*i)) at window i, limb l, digit d, digits
	// adjacent: a look-up accumulates one limb in a register.
	powers []uint
}

func (f *fixedBase) build(m *bigmod.Modulus, exponentBits, window int) {
	f.modulus, f.window = m, window
	f.limbs = len(bigmod.NewNat().ExpandFor(m).Bits())
	windows := (exponentBits + window - 1) / window
	digits := 1 << window
	f.powers = make([]uint, windows*f.limbs*digits)

	step := bigmod.NewNat().ExpandFor(m) // 2^(2^(window*i))
	step.Bits()[0] = 2
	for i := range windows {
		power := bigmod.NewNat().ExpandFor(m)
		power.Bits()[0] = 1
		at := f.powers[i*f.limbs*digits:]
		for d := range digits {
			for l, limb := range power.Bits() {
				at[l*digits+d] = limb
			}
			power.Mul(step, m)
		}
		step = power
	}
}

// pow returns 2^exponent mod the prime in constant time. exponent is in network
// byte order and as long as the table was built for.
func (f *fixedBase) pow(exponent []byte) *bigmod.Nat {
	out := bigmod.NewNat().ExpandFor(f.modulus)
	factor := bigmod.NewNat().ExpandFor(f.modulus)
	per := f.limbs << f.window
	f.lookup(out.Bits(), f.powers[:per], digit(exponent, 0, f.window))
	for i := 1; i*per < len(f.powers); i++ {
		f.lookup(factor.Bits(), f.powers[i*per:(i+1)*per], digit(exponent, i*f.window, f.window))
		out.Mul(factor, f.modulus)
	}
	return out
}

// lookup sets out to entry d of one window's table, touching all of them.
func (f *fixedBase) lookup(out, table []uint, d int) {
	digits := 1 << f.window
	var all [1 << maxWindow]uint
	masks := all[:digits]
	for i := range masks {
		masks[i] = -uint(subtle.ConstantTimeEq(int32(i), int32(d)))
	}
	// Limbs come in fours: each mask is loaded once for all of them, and every
	// group's prime is a multiple of four limbs.
	for l := 0; l+4 <= len(out); l += 4 {
		rows := table[l*digits : (l+4)*digits]
		// Lengths that let the compiler drop the bounds checks below.
		r0 := rows[:len(masks)]
		r1 := rows[digits:][:len(masks)]
		r2 := rows[2*digits:][:len(masks)]
		r3 := rows[3*digits:][:len(masks)]
		var l0, l1, l2, l3 uint
		for i, m := range masks {
			l0 |= m & r0[i]
			l1 |= m & r1[i]
			l2 |= m & r2[i]
			l3 |= m & r3[i]
		}
		out[l], out[l+1], out[l+2], out[l+3] = l0, l1, l2, l3
	}
}

// digit returns the width bits of a big-endian number that start at bit from,
// counted from the least significant; bits beyond its end are zero.
func digit(number []byte, from, width int) int {
	d := 0
	for i := range width {
		bit := from + i
		at := len(number) - 1 - bit/8
		if at < 0 {
			break
		}
		d |= int(number[at]>>(bit%8)&1) << i
	}
	return d
}
