package bench

import (
	"fmt"
	"math"
)

// Bounds of a search for the highest rate that a relay keeps up with.
const (
	firstRate = 20_000
	minRate   = 1_000
	maxRate   = 2_000_000

	coarseStep = 2    // from one rate to the next, when nothing is known
	fineStep   = 1.15 // from one found before
	precision  = 1.03 // between a rate that holds and one that does not
)

// searchRate finds a rate that holds and is within precision of one that does
// not. It goes from start by factors of step until it has both, and halves what
// is between them.
func searchRate(start int, step float64, holds func(rate int) (bool, error)) (int, error) {
	good, bad := 0, 0
	for rate := start; good == 0 || bad == 0; {
		if rate < minRate {
			return 0, fmt.Errorf("loss at %d packets a second already", minRate)
		}
		if rate > maxRate {
			return good, nil
		}
		ok, err := holds(rate)
		if err != nil {
			return 0, err
		}
		if ok {
			good, rate = rate, int(float64(rate)*step)
		} else {
			bad, rate = rate, int(float64(rate)/step)
		}
	}
	for float64(bad) > float64(good)*precision {
		middle := int(math.Sqrt(float64(good) * float64(bad)))
		ok, err := holds(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			good = middle
		} else {
			bad = middle
		}
	}
	return good, nil
}
