package bench

import (
	"errors"
	"math/rand/v2"
	"testing"
)

func TestSearchRate(t *testing.T) {
	for _, can := range []int{2_600, 5_000, 20_000, 57_321, 123_456, 900_000} {
		for _, from := range []struct {
			start int
			step  float64
		}{{firstRate, coarseStep}, {int(0.8 * float64(can)), fineStep}, {2 * can, fineStep}} {
			tried := 0
			got, err := searchRate(from.start, from.step, func(rate int) (bool, error) {
				tried++
				return rate <= can, nil
			})
			if err != nil || got > can || float64(got)*precision < float64(can)-1 || tried > 16 {
				t.Errorf("%d from %v: %d after %d probes, %v", can, from, got, tried, err)
			}
		}
	}
}

// Probes near what a relay can do are a matter of chance: a search ends
// nevertheless, and near it.
func TestSearchRateEndsInNoise(t *testing.T) {
	const can = 100_000
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 0))
		tried := 0
		got, err := searchRate(firstRate, coarseStep, func(rate int) (bool, error) {
			tried++
			return float64(rate) < can*(0.9+0.2*r.Float64()), nil
		})
		if err != nil || tried > 16 || got < can*88/100 || got > can*112/100 {
			t.Errorf("seed %d: %d after %d probes, %v", seed, got, tried, err)
		}
	}
}

func TestSearchRateFails(t *testing.T) {
	if got, err := searchRate(firstRate, coarseStep, func(int) (bool, error) { return false, nil }); err == nil {
		t.Errorf("a relay that relays nothing holds %d", got)
	}
	if got, err := searchRate(firstRate, coarseStep, func(int) (bool, error) { return true, nil }); err != nil || got > maxRate || got < maxRate/coarseStep {
		t.Errorf("a relay without bounds: %d, %v", got, err)
	}
	broken := errors.New("broken")
	if _, err := searchRate(firstRate, coarseStep, func(int) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("a broken probe: %v", err)
	}
}
