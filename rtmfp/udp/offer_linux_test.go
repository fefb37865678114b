package udp

import "testing"

// Once used to bursts of one size, a socket is emptied in two reads, and shows the kernel little more
// than what comes.
func TestOfferFollowsTheTraffic(t *testing.T) {
	o := offer{slots: 1}
	for _, size := range []int{1, 2, 3, 8, 64, 200, 8, 2, 1, 3, 1} {
		reads, most := 0, 0
		for round := range 60 {
			for left := size; left > 0; {
				n := min(left, o.slots)
				if round >= 50 {
					reads++
					most = max(most, o.slots)
				}
				o.adapt(n)
				left -= n
			}
		}
		if reads > 20 || most > 2*size {
			t.Errorf("10 bursts of %d took %d reads that offered up to %d slots", size, reads, most)
		}
	}
}

// Who gets lone datagrams rarely looks for company in vain.
func TestLoneDatagramsAreOfferedOneSlot(t *testing.T) {
	o := offer{slots: 1}
	more := 0
	for i := range 1000 + 1<<10 {
		if i >= 1000 && o.slots > 1 {
			more++
		}
		o.adapt(1)
	}
	if more == 0 || more > 1<<10/(maxPatience+1) {
		t.Errorf("of 1024 reads %d looked for company", more)
	}
}
