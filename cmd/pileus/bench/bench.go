package bench

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// Config says what to load, and how. The zero value of a field is its default.
type Config struct {
	// Server is where the servers listen.
	Server netip.AddrPort
	// PID is the process ID of the server listening at Server; 0 leaves its CPU
	// time and memory out. Not used with Commands.
	PID int
	// Commands start servers at Server, as NAME=PROGRAM ARGUMENTS. They take
	// turns, each measurement on a fresh process on core 0.
	Commands []string
	// Sources is the block whose /24s the simulated peers come from; by default
	// 127.0.0.0/8. The host must accept packets to all of it.
	Sources netip.Prefix
	// AllowRemote permits a server that is not on the loopback interface.
	AllowRemote bool
	// Rounds repeats the measurements; results are medians. By default 1, with
	// Commands 3.
	Rounds int
	// Only names the measurements to run, by default all.
	Only []string
	// Peers is the number of idle peers, by default 10,000.
	Peers int
	// Seconds bounds each phase with a rate, by default 10; numbers of sessions
	// that are opened one after the other are in proportion.
	Seconds int
	// App is the path of the connect command's URI, by default "bench".
	App string

	Results  io.Writer // the table, or JSON objects
	Progress io.Writer
	JSON     bool
}

// Limits of a run, so that it ends by itself and within the source block.
const (
	maxPeers   = 30_000
	maxRounds  = 25
	maxSeconds = 120
)

func (c Config) withDefaults() Config {
	if !c.Sources.IsValid() {
		c.Sources = netip.MustParsePrefix("127.0.0.0/8")
	}
	if c.Rounds == 0 {
		c.Rounds = 1
		if len(c.Commands) > 0 {
			c.Rounds = 3
		}
	}
	if c.Peers == 0 {
		c.Peers = 10_000
	}
	if c.Seconds == 0 {
		c.Seconds = 10
	}
	if c.App == "" {
		c.App = "bench"
	}
	return c
}

var errRemote = errors.New("not a loopback address, and only servers on this machine are loaded; --allow-remote is for network namespaces of your own")

// Validate reports the first setting that cannot be run.
func (c Config) Validate() error {
	c = c.withDefaults()
	addr := c.Server.Addr()
	switch {
	case !c.Server.IsValid() || c.Server.Port() == 0:
		return errors.New("no server: give its address and port")
	case !addr.Is4():
		return fmt.Errorf("%v: each simulated peer has an IPv4 source address of its own, so the server needs an IPv4 address", addr)
	case !addr.IsLoopback() && !c.AllowRemote:
		return fmt.Errorf("%v: %w", addr, errRemote)
	case !c.Sources.Addr().Is4() || c.Sources.Bits() > 8:
		return fmt.Errorf("sources %v: need an IPv4 block of /8 or larger", c.Sources)
	case c.Peers < 1 || c.Peers > maxPeers:
		return fmt.Errorf("peers %d: must be 1 to %d", c.Peers, maxPeers)
	case c.Rounds < 1 || c.Rounds > maxRounds:
		return fmt.Errorf("rounds %d: must be 1 to %d", c.Rounds, maxRounds)
	case c.Seconds < 1 || c.Seconds > maxSeconds:
		return fmt.Errorf("seconds %d: must be 1 to %d", c.Seconds, maxSeconds)
	}
	for _, name := range c.Only {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("no measurement %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}
	return nil
}

// Names returns the names of the measurements, in the order they run.
func Names() []string {
	return []string{
		"session-2", "session-14", "connect-2", "connect-14", "introduce", "lookup",
		"idle", "join", "junk", "ihello", "keying", "hoard", "answer", "reflect",
	}
}
