package turn

import (
	"syscall"
	"testing"
	"time"
)

// cpu is the time this process has used.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The 20-byte frame with which anybody makes pion's TCP and TLS listeners burn a core, and its twins.
func TestSpinFrame(t *testing.T) {
	watch := 10 * time.Second // a spinning core would use all of it
	if testing.Short() {
		watch = 2 * time.Second
	}
	var servers []*Server
	for _, transport := range []Transport{TCP, TLS} {
		s, dial := streamServer(t, transport)
		servers = append(servers, s)
		logged := dial()
		logged.allocate()
		for _, b := range spins() {
			dial().send(b)
			dial().send(b[:9])
		}
		logged.send(spins()[0])
		eventually(t, "closed", func() bool { return s.Stats().Streams <= 1 })
	}
	before := cpu(t)
	time.Sleep(watch)
	if used := cpu(t) - before; used > watch/20 {
		t.Errorf("%v of CPU in %v", used, watch)
	}
	// The rest of these frames never comes.
	time.Sleep(max(0, frameTime-watch))
	for _, s := range servers {
		eventually(t, "closed", func() bool { return s.Stats().Streams == 0 })
		if n := len(s.Allocations(time.Now())); n != 0 {
			t.Errorf("%d allocations", n)
		}
	}
}
