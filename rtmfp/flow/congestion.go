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

// congestion is the window of appendix A and the burst limit of section 3.5.2.3. All
// sizes are in bytes.
type congestion struct {
	cwnd        int32 // CWND
	ssthresh    int32 // SSTHRESH
	accumulated int32 // ACKED_BYTES_ACCUMULATOR
	outstanding int32 // S_OUTSTANDING_BYTES
	burst       uint8 // DATA_PACKET_COUNT
}

// maxWindow keeps the window far from overflow. A window is full before it grows, and
// no flow queues as much.
const maxWindow = 1 << 28

func (c *congestion) reset() {
	*c = congestion{cwnd: cwndInit, ssthresh: math.MaxInt32}
}

// allows reports whether one more fragment may be put into the packet being made.
func (c *congestion) allows() bool { return c.outstanding < c.cwnd }

// timeout is figure 24.
func (c *congestion) timeout(wasLoss bool) {
	c.ssthresh = max(c.ssthresh, c.cwnd/4*3)
	c.accumulated = 0
	c.burst = 0
	if wasLoss {
		c.cwnd = cwndTimedOut
	} else {
		c.cwnd = cwndInit
	}
}

// adjust is figure 25, run after each packet with acknowledgements or an ECN report.
// fastGrow is FASTGROW_ALLOWED, tcSent is TC_SENT.
func (c *congestion) adjust(p *packetState, fastGrow, tcSent bool) {
	switch {
	case p.anyLoss:
		if tcSent || p.preAck > scalableWindow && fastGrow {
			c.ssthresh = max(p.preAck/8*7, cwndInit)
		} else {
			c.ssthresh = max(p.preAck/2, cwndInit)
		}
		c.cwnd = c.ssthresh
		c.accumulated = 0
	case p.anyAcks && !p.anyNaks && !p.anyMarks && p.preAck >= c.cwnd:
		increase := min(c.increase(p.acked, fastGrow, tcSent), smss)
		c.cwnd = min(max(c.cwnd+increase, cwndInit), maxWindow)
	}
}

func (c *congestion) increase(acked int32, fastGrow, tcSent bool) int32 {
	slowStart := c.cwnd < c.ssthresh
	switch {
	case fastGrow && slowStart:
		return acked
	case fastGrow:
		return c.accumulate(acked, 4800, 48)
	case slowStart && tcSent:
		return (acked + 3) / 4
	case tcSent:
		return c.accumulate(acked, 2400, 24)
	default:
		return c.accumulate(acked, 4800, 24)
	}
}

// accumulate spreads additive increase over the round trip: a step for every
// sixteenth of the window acknowledged, or for every most bytes.
func (c *congestion) accumulate(acked, most, step int32) (increase int32) {
	c.accumulated += acked
	threshold := min(max(c.cwnd/16, 64), most)
	steps := c.accumulated / threshold
	c.accumulated -= steps * threshold
	return steps * step
}
