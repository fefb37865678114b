package prober_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// A server of which some addresses are dead is asked where it lives, and the verdict is
// that of its live address alone.
func TestFirstAddressDead(t *testing.T) {
	dead := netip.MustParseAddrPort("203.0.113.77:3478")
	port := func(p uint16) netip.AddrPort { return netip.AddrPortFrom(lab.FirstNodeAddress, p) }
	for _, test := range []struct {
		name   string
		addrs  []netip.AddrPort
		serves func(netip.AddrPort) bool
		server netip.AddrPort
		within time.Duration // until it is found
		class  natprobe.Class
	}{
		{"the first lives", []netip.AddrPort{main, dead}, nil, main, 50 * time.Millisecond, natprobe.PortRestricted},
		{"the second lives", []netip.AddrPort{dead, main}, nil, main, time.Second, natprobe.PortRestricted},
		{"the last lives", []netip.AddrPort{dead, netip.AddrPortFrom(dead.Addr(), 9), netip.AddrPortFrom(dead.Addr(), 1935), main}, nil, main, 1500 * time.Millisecond, natprobe.PortRestricted},
		{"another port lives", []netip.AddrPort{port(1935), main}, func(a netip.AddrPort) bool { return a.Port() != 1935 }, main, time.Second, natprobe.PortRestricted},
		{"the better port answers first", []netip.AddrPort{main, port(1935)}, nil, main, 50 * time.Millisecond, natprobe.PortRestricted},
		{"of one address only the main port", []netip.AddrPort{port(99), port(1935)}, func(a netip.AddrPort) bool { return a.Port() == 1935 }, port(1935), time.Second, natprobe.ClassUnknown},
		{"twice the same", []netip.AddrPort{main, main}, nil, main, 50 * time.Millisecond, natprobe.PortRestricted},
		{"none", []netip.AddrPort{dead, port(99)}, func(netip.AddrPort) bool { return false }, netip.AddrPort{}, 5 * time.Second, natprobe.ClassUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			kind, _ := lab.KindNamed("N4")
			n := newNetwork(kind, true, 0, 1)
			n.serves = test.serves
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := prober.Config{Server: test.addrs[0], Others: test.addrs[1:], Listen: n.listen}
				found, err := prober.Find(t.Context(), c)
				if took := time.Since(began); took > test.within {
					t.Errorf("found after %v, want %v", took, test.within)
				}
				if !test.server.IsValid() {
					r := report.New(report.Record{Runs: []report.Run{found.Run}}, time.Now(), nil)
					if !errors.Is(err, prober.ErrNoAnswer) || !r.NoUDP || !strings.Contains(r.Verdict, "14 requests") {
						t.Errorf("%v: %q", err, r.Verdict)
					}
					return
				}
				run, err := found.Ask(t.Context(), c)
				r := report.New(report.Record{Runs: []report.Run{run}}, time.Now(), nil)
				if err != nil || r.Server != test.server || r.Class != test.class {
					t.Errorf("%v: %v at %v: %+v", err, r.Class, r.Server, r.Behavior)
				}
				passed := 0
				for _, note := range run.Notes {
					if strings.Contains(note, "did not answer in") {
						passed++
					}
				}
				want := 0
				for test.addrs[want] != test.server {
					want++
				}
				if passed != want {
					t.Errorf("%d notes on addresses that are passed over, want %d: %q", passed, want, run.Notes)
				}
			})
		})
	}
}
