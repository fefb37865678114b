package predict

import (
	"strings"
	"testing"

	"pileus/introducer/strategy"
	"pileus/natprobe"
)

// The verdicts are counted from here: a home router meets 8 of 11 kinds.
func TestReach(t *testing.T) {
	for class, want := range map[natprobe.Class][2]int{ // direct, relay
		natprobe.Public:            {10, 1},
		natprobe.PortRestricted:    {8, 3},
		natprobe.SymmetricRandom:   {3, 8},
		natprobe.SymmetricStepping: {8, 3},
		natprobe.Blocked:           {0, 11},
	} {
		r := Reach(strategy.Typical(class))
		if got := [2]int{len(r.Direct), len(r.Relay)}; got != want || len(r.Unsure)+len(r.Never) > 0 {
			t.Errorf("%v: %v, want %v: %+v", class, got, want, r)
		}
	}
	if r := Reach(natprobe.Behavior{}); len(r.Unsure) < 10 {
		t.Errorf("nothing is known, and yet: %+v", r)
	}
}

func TestBetween(t *testing.T) {
	side := func(name string, c natprobe.Class) Side { return Side{Name: name, Behavior: strategy.Typical(c)} }
	for _, test := range []struct {
		from, to       natprobe.Class
		path, strategy string
	}{
		{natprobe.PortRestricted, natprobe.PortRestricted, "direct", "punch"},
		{natprobe.PortRestricted, natprobe.SymmetricStepping, "direct", "predict"},
		{natprobe.PortRestricted, natprobe.SymmetricRandom, "relay", "relay"},
		{natprobe.SymmetricRandom, natprobe.Public, "direct", "public"},
		{natprobe.PortRestricted, natprobe.ClassUnknown, "unsure", "punch"},
	} {
		c := Between(side("a", test.from), side("b", test.to))
		if c.Path != test.path || c.Strategy != test.strategy || c.Why == "" || strings.ContainsAny(c.Why, "%\n") {
			t.Errorf("%v to %v: %+v", test.from, test.to, c)
		}
	}
	if n := len(Matrix(side("a", natprobe.Public))); n != 2*len(Peers()) {
		t.Errorf("the matrix has %d cells", n)
	}
}
