package prober_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// How long coturn's tools may take: stunclient waits for ever for an answer that a filter
// keeps out, after it has said where it is seen.
const (
	discoveryPatience = 15 * time.Second
	clientPatience    = 2 * time.Second
)

var (
	toolSays = regexp.MustCompile(`(Endpoint Independent|Address Dependent|Address and Port Dependent) (Mapping|Filtering)`)
	toolSeen = regexp.MustCompile(`reflexive addr: ([0-9.]+):`)

	toolMapping   = map[string]natprobe.Mapping{"Endpoint Independent": natprobe.EIM, "Address Dependent": natprobe.ADM, "Address and Port Dependent": natprobe.APDM}
	toolFiltering = map[string]natprobe.Filtering{"Endpoint Independent": natprobe.EIF, "Address Dependent": natprobe.ADF, "Address and Port Dependent": natprobe.APDF}
)

// Against coturn, its own tools and this one come to the same, where they can tell.
func TestCoturnAgrees(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skipf("COTURN IS NOT COMPARED WITH: %v", err)
	}
	for _, program := range []string{"turnserver", "turnutils_natdiscovery", "turnutils_stunclient"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("COTURN IS NOT COMPARED WITH: %v", err)
		}
	}
	if testing.Short() || raceEnabled {
		t.Skip("COTURN IS NOT COMPARED WITH: it waits for real time, and is without -short and the race detector")
	}
	names := []string{"N0", "N1", "N2", "N3", "N4", "N5", "N6", "N7", "N8"}
	c := kernel.Config{Delay: 10 * time.Millisecond}
	for _, name := range names {
		kind, _ := lab.KindNamed(name)
		c.Sites = append(c.Sites, kernel.Site{Kind: kind})
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
	alone := netip.AddrPortFrom(lab.SecondNodeAddress, 3488)
	startCoturn(t, n.Node(), 3478, lab.FirstNodeAddress, lab.SecondNodeAddress)
	startCoturn(t, n.Node(), alone.Port(), alone.Addr())
	t.Run("sites", func(t *testing.T) {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				host := n.Hosts(name)[0]
				compare(t, host, wants[name].class)
				r := runAt(t, host, alone)
				if r.Class != natprobe.ClassUnknown || r.Behavior.Filtering != natprobe.FilteringUnknown || len(r.Runs[0].Notes) == 0 {
					t.Errorf("with one address: %q, %v, %q", r.Verdict, r.Behavior.Filtering, r.Runs[0].Notes)
				}
			})
		}
	})
}

// startCoturn serves STUN at a port and the next one of the addresses.
func startCoturn(t *testing.T, node *kernel.Host, port uint16, addrs ...netip.Addr) {
	t.Helper()
	args := []string{
		"-n", "-c", "/dev/null", "--no-auth", "--no-tls", "--no-dtls", "--no-tcp", "--no-cli", "--log-file", "stdout",
		"--listening-port", strconv.Itoa(int(port)),
		"--pidfile", filepath.Join(t.TempDir(), "pid"),
	}
	for _, a := range addrs {
		args = append(args, "--listening-ip", a.String())
	}
	cmd := exec.Command("turnserver", args...)
	if err := node.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	if err := node.Do(func() error { return answers(t, netip.AddrPortFrom(addrs[0], port)) }); err != nil {
		t.Fatalf("turnserver: %v", err)
	}
}

// answers waits for a server.
func answers(t *testing.T, server netip.AddrPort) (err error) {
	t.Helper()
	for range 5 {
		if _, err = prober.Ask(t.Context(), prober.Config{Server: server}); err == nil {
			return nil
		}
	}
	return err
}

func runAt(t *testing.T, host *kernel.Host, server netip.AddrPort) report.Report {
	t.Helper()
	r, err := prober.Run(t.Context(), prober.Config{Server: server, Listen: func() (net.PacketConn, error) {
		return listenAt(t, host, netip.AddrPortFrom(host.Addrs[0], 0)), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func compare(t *testing.T, host *kernel.Host, want natprobe.Class) {
	t.Helper()
	r := runAt(t, host, main)
	if r.Class != want {
		t.Errorf("%v, want %v", r.Class, want)
	}
	said := tool(t, host, discoveryPatience, "turnutils_natdiscovery", "-m", "-f", main.Addr().String())
	found := toolSays.FindAllStringSubmatch(said, -1)
	t.Logf("natdiscovery: %q", found)
	for _, m := range found {
		if m[2] == "Mapping" && toolMapping[m[1]] != r.Behavior.Mapping || m[2] == "Filtering" && toolFiltering[m[1]] != r.Behavior.Filtering {
			t.Errorf("%v, %v here, and there %s", r.Behavior.Mapping, r.Behavior.Filtering, m[0])
		}
	}
	if !slices.ContainsFunc(found, func(m []string) bool { return m[2] == "Filtering" }) {
		t.Errorf("natdiscovery says nothing of the filter: %s", said)
	}
	seen := toolSeen.FindStringSubmatch(tool(t, host, clientPatience, "turnutils_stunclient", main.Addr().String()))
	if seen == nil || seen[1] != r.Seen.Addr().String() {
		t.Errorf("seen as %v here, and there as %q", r.Seen, seen)
	}
}

func tool(t *testing.T, host *kernel.Host, patience time.Duration, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// stdbuf: what a program that has to be ended wrote is kept.
	cmd := exec.CommandContext(ctx, "stdbuf", append([]string{"-oL", program}, args...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = host.Start(cmd)
	}
	if err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(out) // ends with the program
	_ = cmd.Wait()             // its exit code is no verdict
	return string(said)
}
