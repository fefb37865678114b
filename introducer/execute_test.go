package introducer

import (
	"testing"
	"time"
)

func TestTogether(t *testing.T) {
	grid := time.Unix(1_700_000_000, 0)
	for _, test := range []struct{ at, d, grid, want time.Duration }{
		{0, 60 * time.Millisecond, repeatGrid, 60 * time.Millisecond},
		{time.Millisecond, 60 * time.Millisecond, repeatGrid, 69 * time.Millisecond},
		{9 * time.Millisecond, 65 * time.Millisecond, repeatGrid, 71 * time.Millisecond},
		{5 * time.Millisecond, 2 * time.Second, repeatGrid, 2005 * time.Millisecond},
		{5 * time.Millisecond, 2 * time.Second, watchGrid, 2095 * time.Millisecond},
	} {
		if got := together(grid.Add(test.at), test.d, test.grid); got != test.want {
			t.Errorf("%v after %v: %v, want %v", test.d, test.at, got, test.want)
		}
	}
}
