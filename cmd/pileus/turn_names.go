package main

import (
	"log/slog"
	"sync"
	"time"

	"pileus/relay/turn"
)

// nameFlaws tells the operator of mistakes in time-limited names: whatever makes them has the secret, so it
// is the operator's own. Expired ones are everyday and only counted.
type nameFlaws struct {
	log *slog.Logger

	mu   sync.Mutex
	told map[turn.NameFlaw]time.Time
}

const (
	flawPause  = time.Minute // between lines about the same mistake
	loggedName = 64          // bytes of a name that the log has
)

func newNameFlaws(log *slog.Logger) *nameFlaws {
	return &nameFlaws{log: log, told: make(map[turn.NameFlaw]time.Time)}
}

// tell may be called from any goroutine.
func (n *nameFlaws) tell(name string, f turn.NameFlaw) {
	text := map[turn.NameFlaw]string{
		turn.FlawNoTime: "a name for TURN does not begin with its expiry in whole Unix seconds, and is refused; see turn.secrets",
		turn.FlawFar:    "a name for TURN is good for more than a hundred years; is its expiry in milliseconds?",
	}[f]
	if text == "" {
		return
	}
	n.mu.Lock()
	now := time.Now()
	last, before := n.told[f]
	due := !before || now.Sub(last) >= flawPause
	if due {
		n.told[f] = now
	}
	n.mu.Unlock()
	if due {
		n.log.Warn(text, "name", name[:min(len(name), loggedName)])
	}
}
