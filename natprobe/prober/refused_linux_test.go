package prober_test

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// routerOf is the namespace of a site's router.
func routerOf(host *kernel.Host) string {
	return strings.TrimSuffix(host.Namespace, "-host") + "-router"
}

// inNamespace runs commands there.
func inNamespace(t *testing.T, namespace string, commands ...string) {
	t.Helper()
	for _, c := range commands {
		// ip netns exec would also make a mount namespace, which takes most of a second.
		words := append([]string{"--net=/run/netns/" + namespace}, strings.Fields(c)...)
		if out, err := exec.CommandContext(t.Context(), "nsenter", words...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c, err, out)
		}
	}
}

// kernelSites starts a lab with these sites, or skips.
func kernelSites(t *testing.T, kinds ...string) *kernel.Network {
	t.Helper()
	if err := kernel.Available(); err != nil {
		t.Skipf("REAL NETWORKS ARE NOT TESTED: %v", err)
	}
	if testing.Short() || raceEnabled {
		t.Skip("REAL NETWORKS ARE NOT TESTED: they wait for real time, and are without -short and the race detector")
	}
	c := kernel.Config{Delay: 10 * time.Millisecond}
	for _, name := range kinds {
		of, _, _ := strings.Cut(name, ".")
		kind, ok := lab.KindNamed(of)
		if !ok {
			t.Fatalf("there is no kind %s", of)
		}
		c.Sites = append(c.Sites, kernel.Site{Label: name, Kind: kind})
	}
	n, err := kernel.Up(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// Who refuses packets is told from who drops them, and a closed port from a firewall.
func TestKernelRefusals(t *testing.T) {
	n := kernelSites(t, "N4.closed", "N4.prohibited", "N4.reject", "N4.drop", "N4.unreachable")
	const table = "nft add table ip odd|nft add chain ip odd out { type filter hook forward priority -10 ; }|nft add rule ip odd out meta l4proto udp "
	for site, test := range map[string]struct {
		router string
		noUDP  bool
		says   string
	}{
		"N4.closed":      {"", false, "UDP comes back, but nothing is known: 192.0.2.1 says: nothing listens there (port unreachable)"},
		"N4.prohibited":  {table + "reject with icmp type admin-prohibited", true, "no UDP: 192.0.2.1:3478 did not answer any of 7 requests; 10.2.0.1 says: a firewall refuses this (prohibited)"},
		"N4.reject":      {table + "reject", true, "no UDP: 192.0.2.1:3478 did not answer any of 7 requests; 10.3.0.1 says: a firewall refuses this (port unreachable)"},
		"N4.drop":        {table + "drop", true, "no UDP: 192.0.2.1:3478 did not answer any of 7 requests"},
		"N4.unreachable": {"ip route add unreachable 192.0.2.1/32", true, "no UDP: 192.0.2.1:3478 did not answer any of 7 requests; 10.5.0.1 says: there is no way (unreachable)"},
	} {
		t.Run(site, func(t *testing.T) {
			t.Parallel()
			host := n.Hosts(site)[0]
			if test.router != "" {
				inNamespace(t, routerOf(host), strings.Split(test.router, "|")...)
			}
			found, failed := prober.Find(t.Context(), prober.Config{
				Server: main,
				Listen: func() (net.PacketConn, error) { return listenAt(t, host, netip.AddrPortFrom(host.Addrs[0], 0)), nil },
				Refused: func(ctx context.Context, to netip.AddrPort) (by netip.Addr, text string) {
					if err := host.Do(func() error { by, text = prober.Refused(ctx, to); return nil }); err != nil {
						t.Error(err)
					}
					return by, text
				},
			})
			r := report.New(report.Record{Runs: []report.Run{found.Run}}, time.Now(), nil)
			if failed == nil || r.NoUDP != test.noUDP || r.Verdict != test.says {
				t.Errorf("%v: %q, want %q", failed, r.Verdict, test.says)
			}
		})
	}
}
