package limit

import (
	"context"
	"time"
)

// Run calls Advance every Interval until ctx is done.
func (c *Controller) Run(ctx context.Context) {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.Advance(now)
		case <-ctx.Done():
			return
		}
	}
}
