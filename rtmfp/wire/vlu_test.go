package wire_test

import (
	"testing"

	"pileus/rtmfp/wire"
)

// The edge at which values saturate.
func TestVLUSaturation(t *testing.T) {
	for _, tc := range []struct {
		hex  string
		want uint64
	}{
		{"81 ff ff ff ff ff ff ff ff 7e", max64 - 1},
		{"81 ff ff ff ff ff ff ff ff 7f", max64},
		{"82 80 80 80 80 80 80 80 80 00", max64}, // 2^64
		{"82 80 80 80 80 80 80 80 80 01", max64},
		{"80 82 80 80 80 80 80 80 80 80 05", max64},
		{"82 80 80 80 80 80 80 80 80 80 80 80 00", max64}, // 2^85
	} {
		if v, rest, err := wire.ParseVLU(unhex(t, tc.hex)); v != tc.want || len(rest) != 0 || err != nil {
			t.Errorf("%s: %d, %x, %v; want %d", tc.hex, v, rest, err, tc.want)
		}
	}
}
