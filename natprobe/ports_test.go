package natprobe

import "testing"

// The figures that the literature has for 256 open ports.
func TestBirthdayProbes(t *testing.T) {
	for _, test := range []struct {
		size   int
		chance float64
		want   int
	}{
		{65535, 0.5, 177},
		{65535, 0.98, 992},
		{65535, 0.999, 1742},
		{512, 0.5, 1},
		{512, 0.98, 6},
		{512, 0.999, 10},
		{256, 0.999, 1},
		{1, 0.5, 1},
	} {
		if got := birthdayProbes(test.size, test.chance); got != test.want {
			t.Errorf("%d ports, %v: %d, want %d", test.size, test.chance, got, test.want)
		}
	}
}
