package prober_test

import (
	"fmt"
	"math"
	"testing"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/report"
)

// allocator is how a NAT gives out ports, and so what is right to say of it.
type allocator struct {
	step  int // 0: at random
	ports [2]uint16
}

func (a allocator) String() string {
	if a.step != 0 {
		return fmt.Sprintf("step %+d in %d-%d", a.step, a.ports[0], a.ports[1])
	}
	return fmt.Sprintf("random in %d-%d", a.ports[0], a.ports[1])
}

func (a allocator) apply(b *lab.Behavior) {
	b.Ports, b.Step, b.Allocation = a.ports, a.step, lab.RandomPort
	if a.step != 0 {
		b.Allocation = lab.StepPort
	}
}

var (
	allPorts   = [2]uint16{1024, 65535}
	allocators = []allocator{
		{1, allPorts},
		{2, allPorts},
		{4, allPorts},
		{-1, allPorts},
		{-4, allPorts},
		{1, [2]uint16{20000, 20999}},
		{0, allPorts},
		{0, [2]uint16{20000, 20999}},
		{0, [2]uint16{30208, 30719}}, // a carrier's block
	}
)

// says reports whether r has it right; what it says wrong is an error.
func (a allocator) says(t *testing.T, r report.Report) (right bool) {
	t.Helper()
	b, p := r.Behavior, r.Ports
	want, size := natprobe.Stepping, int(a.ports[1])-int(a.ports[0])+1
	switch {
	case a.step != 0:
	case size < 2048:
		want = natprobe.Ranged
	default:
		want = natprobe.Random
	}
	if b.Allocation == natprobe.AllocationUnknown {
		return false
	}
	if b.Allocation != want || b.Step != a.step {
		t.Errorf("%v: %v, %d", a, b.Allocation, b.Step)
		return false
	}
	if p == nil || p.Seen[0] < a.ports[0] || p.Seen[1] > a.ports[1] {
		t.Errorf("%v: ports %+v", a, p)
		return false
	}
	if a.step != 0 {
		if b.Jitter == 0 && p.Entropy != 0 || p.Birthday != nil {
			t.Errorf("%v: %+v", a, p)
		}
		return true
	}
	if b.Range != [2]uint16{} && b.Range != p.Seen {
		t.Errorf("%v: range %v, seen %v", a, b.Range, p.Seen)
	}
	return true
}

// guessed reports whether the estimate of the whole range is off by less than a share of
// the truth, and with it what is left to guess. Of some 60 ports at random the outermost
// leave a tenth of the range or more once in 300 times, a quarter once in 500,000.
func (a allocator) guessed(p *natprobe.Ports, share float64) bool {
	size := float64(a.ports[1]) - float64(a.ports[0]) + 1
	likely := float64(p.Likely[1]) - float64(p.Likely[0]) + 1
	return math.Abs(likely/size-1) < share && math.Abs(p.Entropy-math.Log2(size)) < -math.Log2(1-share) && p.Birthday != nil
}

// The step is exact or unknown, and ports are never said to reach where they do not: also
// amid loss, and where others behind the NAT take ports in between.
func TestPorts(t *testing.T) {
	for _, name := range []string{"N2", "N4", "N6"} {
		for _, a := range allocators {
			for _, trouble := range []struct{ loss, others float64 }{{0, 0}, {0.1, 0}, {0, 0.3}} {
				t.Run(fmt.Sprintf("%s/%v/%v", name, a, trouble), func(t *testing.T) {
					kind, _ := lab.KindNamed(name)
					if name == "N4" { // as itself it keeps ports
						kind.Chain = []lab.Behavior{{Mapping: lab.EndpointIndependentMapping, Filtering: lab.AddressAndPortDependentFiltering}}
					}
					a.apply(&kind.Chain[0])
					const rounds = 20
					right, near := 0, 0
					for seed := range uint64(rounds) {
						n := newNetwork(kind, true, trouble.loss, seed)
						n.others = trouble.others
						r, _, err := run(t, n, main)
						if err != nil {
							t.Fatal(err)
						}
						if !a.says(t, r) {
							continue
						}
						right++
						if a.step == 0 && a.guessed(r.Ports, 0.1) {
							near++
						}
					}
					t.Logf("%d of %d right, %d near", right, rounds, near)
					if right < rounds*9/10 {
						t.Errorf("%d of %d right", right, rounds)
					}
					if a.step == 0 && near < right*9/10 {
						t.Errorf("%d of %d estimates are near", near, right)
					}
				})
			}
		}
	}
}
