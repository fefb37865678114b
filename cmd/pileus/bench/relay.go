package bench

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
)

// RelayConfig says which relays to load, and how. The zero value of a field is
// its default.
type RelayConfig struct {
	// Targets are measured in turns: "splice" is the splice relay of this program,
	// alone in a process; "turn" a node of it, as TURN server; "pion"
	// the TURN server inside that, bare; "coturn" the
	// turnserver installed here; NAME=COMMAND any TURN server, where {ip} and {port}
	// stand for where it is to listen and {user} and {password} for whom it is to
	// know. By default splice and turn, and coturn if it is installed.
	Targets []string
	// Turn is a TURN server that runs already, measured beside Targets. It is
	// loaded from this network namespace as it is. With a PID its CPU time is read.
	Turn           netip.AddrPort
	User, Password string // of Turn
	PID            int

	Pairs  int // by default 64
	Size   int // bytes of a packet's UDP payload, by default 1,200
	Burst  int // packets of one pair in a row, in the burst pattern; by default 8
	Rounds int // by default 3; results are medians
	// Rate is the packets per second at which latency is measured, by default
	// 20,000.
	Rate int

	Results  io.Writer // the table, or JSON objects
	Progress io.Writer
	JSON     bool
}

// Bounds of a run.
const (
	maxPairs     = 1000
	maxBurst     = 64
	minRelaySize = 64
	maxRelaySize = 1400
)

func (c RelayConfig) withDefaults() RelayConfig {
	if len(c.Targets) == 0 && !c.Turn.IsValid() {
		c.Targets = []string{"splice", "turn"}
		if _, err := exec.LookPath("turnserver"); err == nil {
			c.Targets = append(c.Targets, "coturn")
		}
	}
	for field, value := range map[*int]int{&c.Pairs: 64, &c.Size: 1200, &c.Burst: 8, &c.Rounds: 3, &c.Rate: 20_000} {
		if *field == 0 {
			*field = value
		}
	}
	return c
}

// Validate reports the first setting that cannot be run.
func (c RelayConfig) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Pairs < 2 || c.Pairs > maxPairs:
		return fmt.Errorf("pairs %d: must be 2 to %d", c.Pairs, maxPairs)
	case c.Size < minRelaySize || c.Size > maxRelaySize:
		return fmt.Errorf("size %d: must be %d to %d bytes", c.Size, minRelaySize, maxRelaySize)
	case c.Burst < 2 || c.Burst > maxBurst:
		return fmt.Errorf("burst %d: must be 2 to %d", c.Burst, maxBurst)
	case c.Rounds < 1 || c.Rounds > maxRounds:
		return fmt.Errorf("rounds %d: must be 1 to %d", c.Rounds, maxRounds)
	case c.Rate < 1000 || c.Rate > 1_000_000:
		return fmt.Errorf("rate %d: must be 1,000 to 1,000,000 a second", c.Rate)
	case c.Turn.IsValid() && c.Turn.Port() == 0:
		return errors.New("turn: give the port of the TURN server")
	case c.Turn.IsValid() && !c.Turn.Addr().Is4():
		return errors.New("turn: the load is IPv4: give an IPv4 address")
	}
	var names []string
	for _, t := range c.Targets {
		name, command, own := strings.Cut(t, "=")
		switch {
		case !own && !slices.Contains(relayTargets, name):
			return fmt.Errorf("no target %q: there are %s, and NAME=COMMAND", t, strings.Join(relayTargets, ", "))
		case own && strings.TrimSpace(command) == "":
			return fmt.Errorf("target %q: no command", t)
		case slices.Contains(names, name):
			return fmt.Errorf("two targets named %q", name)
		}
		names = append(names, name)
	}
	return nil
}

var relayTargets = []string{"splice", "turn", "pion", "coturn"}

// SpliceCommand is the subcommand, of the one that this package is for, that
// calls ServeSplices.
const SpliceCommand = "relay-splices"

// PionCommand is the one that calls ServePion with an address, a user and a
// password.
const PionCommand = "pion-turn"
