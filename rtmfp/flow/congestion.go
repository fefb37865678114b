package flow

import "math"

// Appendix A's numbers, in bytes, for segments of 1460.
const (
	smss         = 1460
	cwndInit     = 4380
	cwndTimedOut = smss

	// scalableWindow is the window above which loss costs an eighth: "seven eighths
	// of 76800 (the point at which 1% is greater than 768 bytes per round trip)".
	scalableWindow = 67200
)

// congestion is the window of appendix A and the burst limit of section 3.5.2.3.
type congestion struct {
	cwnd        int // CWND
	ssthresh    int // SSTHRESH
	accumulated int // ACKED_BYTES_ACCUMULATOR
	outstanding int // S_OUTSTANDING_BYTES

	preAck int // PRE_ACK_OUTSTANDING, valid if begun
	acked  int // ACKED_BYTES_THIS_PACKET

	begun                     bool
	anyLoss, anyNaks, anyAcks bool

	burst uint8 // DATA_PACKET_COUNT
}

func (c *congestion) reset() {
	*c = congestion{cwnd: cwndInit, ssthresh: math.MaxInt}
}

// allows reports whether one more fragment may be put into the packet being made.
func (c *congestion) allows() bool { return c.outstanding < c.cwnd }

// begin notes the first thing in a packet that the window depends on, before it
// takes effect.
func (c *congestion) begin() {
	if !c.begun {
		c.begun = true
		c.preAck = c.outstanding
	}
}

// timeout is figure 24.
func (c *congestion) timeout(wasLoss bool) {
	c.ssthresh = max(c.ssthresh, c.cwnd*3/4)
	c.accumulated = 0
	c.burst = 0
	if wasLoss {
		c.cwnd = cwndTimedOut
	} else {
		c.cwnd = cwndInit
	}
}

// adjust is figure 25, run after each packet that begin was called for. fastGrow is
// FASTGROW_ALLOWED, tcSent is TC_SENT.
func (c *congestion) adjust(fastGrow, tcSent bool) {
	switch {
	case c.anyLoss:
		if tcSent || c.preAck > scalableWindow && fastGrow {
			c.ssthresh = max(c.preAck*7/8, cwndInit)
		} else {
			c.ssthresh = max(c.preAck/2, cwndInit)
		}
		c.cwnd = c.ssthresh
		c.accumulated = 0
	case c.anyAcks && !c.anyNaks && c.preAck >= c.cwnd:
		c.cwnd = max(c.cwnd+min(c.increase(fastGrow, tcSent), smss), cwndInit)
	}
	c.begun, c.anyLoss, c.anyNaks, c.anyAcks = false, false, false, false
	c.preAck, c.acked = 0, 0
}

func (c *congestion) increase(fastGrow, tcSent bool) int {
	slowStart := c.cwnd < c.ssthresh
	switch {
	case fastGrow && slowStart:
		return c.acked
	case fastGrow:
		return c.accumulate(4800, 48)
	case slowStart && tcSent:
		return (c.acked + 3) / 4
	case tcSent:
		return c.accumulate(2400, 24)
	default:
		return c.accumulate(4800, 24)
	}
}

// accumulate spreads additive increase over the round trip: a step for every
// sixteenth of the window acknowledged, or for every most bytes.
func (c *congestion) accumulate(most, step int) (increase int) {
	c.accumulated += c.acked
	threshold := min(max(c.cwnd/16, 64), most)
	steps := c.accumulated / threshold
	c.accumulated -= steps * threshold
	return steps * step
}
