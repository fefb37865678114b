package udp

import (
	"context"
	"time"
)

// LookAgain is how often the addresses of this machine are looked at where the system does not tell
// that they change.
const LookAgain = 5 * time.Second

// WatchAddresses calls changed, on its own goroutine, whenever Addresses may have something new to say,
// and once at its start, until ctx ends. Changes that come close together are told once. Linux tells of
// them; elsewhere, or where it is not let, changed is called every LookAgain.
func WatchAddresses(ctx context.Context, changed func()) {
	if watchSystem(ctx, changed); ctx.Err() != nil {
		return
	}
	look := time.NewTicker(LookAgain)
	defer look.Stop()
	for {
		changed()
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}
