package udp

import "testing"

// Once used to bursts of one size, a socket is emptied in two reads, and shows the kernel little more
// than what comes.
func TestOfferFollowsTheTraffic(t *testing.T) {
	m := &mmsg{offer: 1}
	for _, size := range []int{1, 8, 64, 200, 8, 1} {
		reads, most := 0, 0
		for round := range 20 {
			for left := size; left > 0; {
				n := min(left, m.offer)
				if round >= 10 {
					reads++
					most = max(most, m.offer)
				}
				m.adapt(n)
				left -= n
			}
		}
		if reads > 20 || most > 2*size {
			t.Errorf("10 bursts of %d took %d reads that offered up to %d slots", size, reads, most)
		}
	}
}
