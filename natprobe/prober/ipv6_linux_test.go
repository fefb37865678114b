package prober_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// prefix64 is the lab's NAT64: the well-known prefix may not stand for addresses that are
// not global (RFC 6052 section 3.1), and the lab's are not.
var prefix64 = netip.MustParsePrefix("2001:db8:64::/96")

// behind64 is an IPv4 address as hosts behind the NAT64 write it.
func behind64(a netip.Addr) netip.Addr {
	b := prefix64.Addr().As16()
	copy(b[12:], a.AsSlice())
	return netip.AddrFrom16(b)
}

// An IPv6 firewall without NAT is found, and a NAT64 where there is one, and not where
// there is none.
func TestKernelIPv6(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skipf("REAL IPV6 IS NOT TESTED: %v", err)
	}
	if testing.Short() || raceEnabled {
		t.Skip("REAL IPV6 IS NOT TESTED: it waits for real time, and is without -short and the race detector")
	}
	kind, _ := lab.KindNamed("N12")
	n, err := kernel.Up(t.Context(), kernel.Config{Delay: 10 * time.Millisecond, Sites: []kernel.Site{{Kind: kind}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	serveHelp(t, n.Node())
	host := n.Hosts("N12")[0]
	own := host.Addrs[1]
	t.Run("firewall", func(t *testing.T) {
		server := netip.AddrPortFrom(n.Node().Addrs[2], 3478)
		r, err := prober.Run(t.Context(), prober.Config{Server: server, Listen: func() (net.PacketConn, error) {
			return listenAt(t, host, netip.AddrPortFrom(own, 0)), nil
		}})
		if err != nil || r.Class != natprobe.Firewall || r.Seen.Addr() != own {
			t.Errorf("%v: %q, seen as %v", err, r.Verdict, r.Seen)
		}
	})
	t.Run("without NAT64", func(t *testing.T) {
		v := six(t, host, n.Node().Addrs[2], nil)
		if v.Seen.Addr() != own || v.Translated != natprobe.No || v.NAT64.IsValid() {
			t.Errorf("%+v", v)
		}
		if v := six(t, host, behind64(lab.FirstNodeAddress), nil); v.Seen.IsValid() {
			t.Errorf("without NAT64, seen by way of one as %v", v.Seen)
		}
	})
	t.Run("with NAT64", func(t *testing.T) {
		startNAT64(t, host)
		v := six(t, host, behind64(lab.FirstNodeAddress), []netip.Addr{behind64(netip.MustParseAddr("192.0.0.170")), behind64(netip.MustParseAddr("192.0.0.171"))})
		if !v.Seen.Addr().Is4() || v.Translated != natprobe.Yes || v.NAT64 != prefix64 {
			t.Errorf("%+v", v)
		}
	})
}

// six asks over IPv6; found is what DNS has for ipv4only.arpa.
func six(t *testing.T, host *kernel.Host, server netip.Addr, found []netip.Addr) (v report.IPv6) {
	t.Helper()
	c := prober.SixConfig{Servers: []netip.AddrPort{netip.AddrPortFrom(server, 3478)}, Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
		if name != "ipv4only.arpa" || found == nil {
			return nil, &net.DNSError{Name: name, IsNotFound: true}
		}
		return found, nil
	}}
	if err := host.Do(func() error {
		v = prober.Six(t.Context(), c)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return v
}

// startNAT64 runs tayga in the router of the host's site, which masquerades behind it.
func startNAT64(t *testing.T, host *kernel.Host) {
	t.Helper()
	if _, err := exec.LookPath("tayga"); err != nil {
		t.Skipf("NAT64 IS NOT TESTED: %v", err)
	}
	const pool = "192.168.255.0/24"
	config := filepath.Join(t.TempDir(), "tayga.conf")
	text := fmt.Sprintf("tun-device nat64\nipv4-addr 192.168.255.1\nprefix %v\ndynamic-pool %s\nipv6-addr 2001:db8:65::1\n", prefix64, pool)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	router := "--net=/run/netns/" + strings.TrimSuffix(host.Namespace, "-host") + "-router"
	in := func(command string) *exec.Cmd {
		return exec.Command("nsenter", append([]string{router}, strings.Fields(command)...)...)
	}
	for _, c := range []string{
		"tayga --config " + config + " --mktun",
		"ip link set nat64 up",
		"ip route add " + pool + " dev nat64",
		"ip route add " + prefix64.String() + " dev nat64",
		"nft insert rule inet filter forward iifname nat64 accept",
	} {
		if out, err := in(c).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c, err, out)
		}
	}
	translator := in("tayga --config " + config + " --nodetach")
	if err := translator.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = translator.Process.Kill()
		_ = translator.Wait() // killed
	})
}
