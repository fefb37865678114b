package main

import (
	"errors"
	"fmt"
	"os"

	"pileus/configs"
)

const (
	// reservedFiles is how many of the files that the process may have open are kept for
	// connections of operators (half of them), those to a core server, and what is read again.
	reservedFiles = 128
	// growthFiles are kept for sockets at addresses that come later.
	growthFiles = 64
	// turnFiles are left to clients of TURN, if there are as many, when relay ports want
	// the rest.
	turnFiles = 512
	// laterAddresses may have as many relay ports as those of the start, where files are
	// many.
	laterAddresses = 3
	// leastShare: what is kept is a quarter of little at most.
	leastShare = 4
)

// errFiles is why a socket was left out that the process may not open.
var errFiles = errors.New("too few files may be open, beside those kept for operators and TURN; ulimit -n, or LimitNOFILE= of systemd")

// fileShares is how those that the process may have open are divided. Nobody can take what
// is kept for others: at a node whose TCP connections are used up, /healthz answers.
type fileShares struct {
	limit    int // 0: not known, and nothing is bounded
	reserved int
	relay    int // sockets of relay ports
	growth   int // sockets at addresses that come later
	turn     int // connections of TURN's clients, and relay sockets
}

// divideFiles divides: used are open already, sockets are those to be opened but for
// relay ports.
func divideFiles(limit, used, sockets, relayPorts int, turn bool) fileShares {
	if limit == 0 {
		return fileShares{relay: relayPorts}
	}
	rest := max(0, limit-used-sockets)
	f := fileShares{limit: limit, reserved: min(reservedFiles, rest/leastShare)}
	rest -= f.reserved
	f.growth = min(growthFiles, rest/leastShare)
	rest -= f.growth
	if turn {
		f.turn = min(turnFiles, rest/leastShare)
	}
	f.relay = min(relayPorts, rest-f.turn)
	f.relay += min(laterAddresses*relayPorts, (rest-f.turn-f.relay)/2)
	if turn {
		f.turn = max(1, rest-f.relay) // 0 would be any number
	}
	return f
}

// openNow is how many files are open, as far as it can be known.
func openNow() int {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if list, err := os.ReadDir(dir); err == nil {
			return len(list)
		}
	}
	const usual = 16
	return usual
}

// filesOf is what a socket costs: where clients connect the relay has a second handle.
func filesOf(s configs.Socket) int {
	if s.Use <= configs.UseExtra {
		return 2
	}
	return 1
}

// row is what the banner tells.
func (f *fileShares) row(streams int) string {
	if f.limit == 0 {
		return ""
	}
	return fmt.Sprintf("%d may be open: TURN may take %d, TCP connections %d of these; %d are kept for operators and hooks",
		f.limit, f.turn, streams, f.reserved)
}
