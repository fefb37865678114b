package main

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// A node that may open 1,200 files keeps some for its operator: TCP connections of strangers are bounded by what is
// left, and it says so at its start.
func TestTCPConnectionsLeaveFiles(t *testing.T) {
	m := newMachine(t)
	m.card("198.51.100.1/24")
	p := m.startAs("ulimit -n 1200; exec \"$@\"", "serve", "--config", config(t, "turn: {users: {alice: wonderland}}\nadmin: {listen: '127.0.0.1:8935'}\n"))
	p.await("  files        1200 may be open: TURN may take ")
	p.await("  stop ")
	m.within(func() {
		for range 300 {
			c, err := net.DialTimeout("tcp", "198.51.100.1:3478", time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	})
	for range 3 {
		ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
		status := in(ctx, m.name, os.Args[0], "status", "--node", "http://127.0.0.1:8935")
		status.Env = append(os.Environ(), asProgram+"=1")
		out, err := status.CombinedOutput()
		stop()
		if err != nil || !strings.Contains(string(out), "ready") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	// Clients of TURN over UDP find room beside them.
	if err := m.answers("198.51.100.1:3478"); err != nil {
		t.Error(err)
	}
	// An address that comes is served still.
	m.ip("addr add 203.0.113.9/32 dev eth0")
	p.await("addresses=[203.0.113.9]")
	if err := m.answers("203.0.113.9:1935"); err != nil {
		t.Error(err)
	}
}

// How files are divided: nobody's part is taken by another, whatever there is.
func TestDivideFiles(t *testing.T) {
	for _, limit := range []int{64, 100, 256, 1024, 1200, 4096, 65536, 1 << 20} {
		for _, relays := range []int{0, 2, 1000, 5000} {
			for _, turn := range []bool{false, true} {
				const used, sockets = 12, 40
				f := divideFiles(limit, used, sockets, relays, turn)
				all := used + sockets + f.reserved + f.growth + f.relay + f.turn
				if all > limit+1 || f.relay < 0 || f.turn < 0 || f.relay > (1+laterAddresses)*relays || turn != (f.turn > 0) {
					t.Errorf("of %d for %d relay ports, TURN %t: %+v", limit, relays, turn, f)
				}
				if limit >= 4096 && (f.relay < min(relays, 2500) || f.reserved != reservedFiles || turn && f.turn < turnFiles) {
					t.Errorf("of %d for %d relay ports, TURN %t: too little is given: %+v", limit, relays, turn, f)
				}
				if limit == 1024 && relays >= 1000 && f.relay < 400 {
					t.Errorf("of %d: %+v", limit, f)
				}
			}
		}
	}
	if f := divideFiles(0, 12, 40, 1000, true); f.relay != 1000 || f.turn != 0 {
		t.Errorf("without a limit: %+v", f)
	}
}
