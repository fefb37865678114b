package wire

import (
	"math"
	"math/bits"
)

// AppendVLU appends v as a variable length unsigned integer (section 2.1.2) in
// its shortest form: 1 to 10 bytes.
func AppendVLU(b []byte, v uint64) []byte {
	for shift := 7 * (VLULen(v) - 1); shift > 0; shift -= 7 {
		b = append(b, 0x80|byte(v>>shift))
	}
	return append(b, byte(v&0x7f))
}

// VLULen returns the number of bytes that AppendVLU appends for v: 1 to 10.
func VLULen(v uint64) int {
	return (bits.Len64(v|1) + 6) / 7
}

// ParseVLU reads a VLU from the start of b. A value of 2^64 or more is returned
// as 2^64-1. Leading zero digits are legal and cost nothing. The only error is
// ErrTruncated.
func ParseVLU(b []byte) (v uint64, rest []byte, err error) {
	for i, c := range b {
		if v > math.MaxUint64>>7 {
			v = math.MaxUint64
		} else {
			v = v<<7 | uint64(c&0x7f)
		}
		if c < 0x80 {
			return v, b[i+1:], nil
		}
	}
	return 0, nil, ErrTruncated
}

// parseSized reads a VLU length and that many bytes, the form in which chunks
// carry every field that is not their last.
func parseSized(b []byte) (field, rest []byte, err error) {
	n, b, err := ParseVLU(b)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(b)) {
		return nil, nil, ErrTruncated
	}
	return b[:n:n], b[n:], nil
}

func appendSized(b, field []byte) []byte {
	return append(AppendVLU(b, uint64(len(field))), field...)
}
