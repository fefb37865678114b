package flash

import (
	"encoding/binary"
	"math/bits"
)

// checksum is the simple checksum of RFC 7425 section 4.7.3.1. Unlike in RFC
// 1071 an odd last byte is the low half of its word.
func checksum(b []byte) uint16 {
	// A ones' complement sum of 16-bit words is the same in 64-bit words, folded
	// at the end.
	var sum, carry uint64
	for len(b) >= 32 { // most of any packet; the carry stays in its flag
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b[24:]), carry)
		b = b[32:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	var tail uint64
	for len(b) >= 2 {
		tail += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		tail += uint64(b[0])
	}
	sum, carry = bits.Add64(sum, tail, carry)
	sum += carry // cannot carry again: tail is small

	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
