package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/report"
)

// Where the router that answers no UPnP is not the last one to translate, the hops of
// packets tell.
func TestKernelTwoNATs(t *testing.T) {
	t.Parallel()
	n := startLab(t, "N4", "N8", "N5", "N1")
	for site, want := range map[string]struct{ verdict, nats string }{
		"N4": {"home router, endpoint-independent mapping, port-restricted: ", "one: 10.1.0.1 has 198.51.100.1 itself"},
		"N8": {"home router behind a carrier's NAT, endpoint-independent mapping, port-restricted: ", "two: 198.51.100.2 is 2 hops away, behind 10.2.0.1, and the way goes on through a carrier's 100.64.2.1"},
		"N5": {"symmetric NAT, a port for each destination, ", "one: 10.3.0.1 has 198.51.100.3 itself"},
		"N1": {"public host behind a stateful firewall: ", ""},
	} {
		t.Run(site, func(t *testing.T) {
			t.Parallel()
			_, out, errs := n.at(t, site, "run", "--quick", "--json", "--server", lab.FirstNodeAddress.String())
			r := decode[report.Report](t, out)
			if !strings.HasPrefix(r.Verdict, want.verdict) || r.NATs() != want.nats {
				t.Errorf("%q, %q: %+v %s", r.Verdict, r.NATs(), r.Depth.Path, errs)
			}
		})
	}
}

// A router with two lines that spreads flows over them is no symmetric NAT.
func TestKernelLines(t *testing.T) {
	t.Parallel()
	n := startLab(t, "N4", "N4.second")
	first, second := routerOf(n.Hosts("N4")[0]), routerOf(n.Hosts("N4.second")[0])
	inNamespace(t, first, "ip link add line type veth peer name lan9 netns "+second, "ip addr add 10.99.0.1/30 dev line", "ip link set line up",
		"nft add rule inet filter forward oifname line accept", "nft insert rule inet filter forward iifname lan0 oifname line accept")
	inNamespace(t, second, "ip addr add 10.99.0.2/30 dev lan9", "ip link set lan9 up", "ip route add 10.1.0.0/24 via 10.99.0.1")
	inNamespace(t, first, "sysctl -q -w net.ipv4.fib_multipath_hash_policy=1",
		"ip route replace default nexthop dev wan weight 1 nexthop via 10.99.0.2 dev line weight 1")
	// A hash decides: of a few tries one spreads the destinations over both.
	var r report.Report
	for range 5 {
		_, out, _ := n.at(t, "N4", "run", "--quick", "--json", "--server", lab.FirstNodeAddress.String())
		if r = decode[report.Report](t, out); strings.HasPrefix(r.NATs(), "each flow leaves by one of") {
			break
		}
		if r.Behavior.Mapping.Dependent() {
			t.Errorf("%q: %s", r.Verdict, out)
		}
	}
	if !strings.HasPrefix(r.Verdict, "router with several lines: NAT, mapping unknown") || r.Direct != natprobe.Unknown ||
		!strings.Contains(r.NATs(), "198.51.100.1") || !strings.Contains(r.NATs(), "198.51.100.2") {
		t.Errorf("%q: %s %+v", r.Verdict, r.NATs(), r.Runs)
	}
}

var prefix64 = netip.MustParsePrefix("2001:db8:64::/96")

// behind64 is an IPv4 address as hosts behind the NAT64 write it.
func behind64(text string) netip.Addr {
	b := prefix64.Addr().As16()
	copy(b[12:], netip.MustParseAddr(text).AsSlice())
	return netip.AddrFrom16(b)
}

// tayga translates in a namespace, with that configuration behind the lines that all have.
func tayga(t *testing.T, namespace, device, config string, setUp ...string) {
	t.Helper()
	if _, err := exec.LookPath("tayga"); err != nil {
		t.Skipf("TRANSLATORS ARE NOT TESTED: %v", err)
	}
	file := filepath.Join(t.TempDir(), "tayga.conf")
	text := fmt.Sprintf("tun-device %s\nprefix %v\ndata-dir %s\n%s", device, prefix64, t.TempDir(), config)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	inNamespace(t, namespace, append([]string{"tayga --config " + file + " --mktun", "ip link set " + device + " up"}, setUp...)...)
	cmd := exec.CommandContext(context.Background(), "nsenter", "--net=/run/netns/"+namespace, "tayga", "--config", file, "--nodetach")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
}

// startNAT64 has a site's router be one.
func startNAT64(t *testing.T, host *kernel.Host) {
	t.Helper()
	tayga(t, routerOf(host), "nat64", "ipv4-addr 192.168.255.1\ndynamic-pool 192.168.255.0/24\nipv6-addr 2001:db8:65::1\n",
		"ip route add 192.168.255.0/24 dev nat64", "ip route add "+prefix64.String()+" dev nat64",
		"nft insert rule inet filter forward iifname nat64 accept")
}

// advertise answers Router Solicitations at a site's router with PREF64 (RFC 8781).
func advertise(t *testing.T, host *kernel.Host) {
	t.Helper()
	var conn *icmp.PacketConn
	index := 0
	router := &kernel.Host{Namespace: routerOf(host)}
	if err := router.Do(func() (err error) {
		lan, err := net.InterfaceByName("lan0")
		if err != nil {
			return err
		}
		index = lan.Index
		conn, err = icmp.ListenPacket("ip6:ipv6-icmp", "::")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	p := conn.IPv6PacketConn()
	if err := p.JoinGroup(&net.Interface{Index: index}, &net.IPAddr{IP: net.ParseIP("ff02::2")}); err != nil {
		t.Fatal(err)
	}
	addr := prefix64.Addr().As16()
	option := binary.BigEndian.AppendUint16([]byte{38, 2}, 225<<3) // 1800 s, of 96 bits
	message := append([]byte{byte(ipv6.ICMPTypeRouterAdvertisement), 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, option...)
	message = append(message, addr[:12]...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			k, _, _, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			if k > 0 && buf[0] == byte(ipv6.ICMPTypeRouterSolicitation) {
				_, _ = p.WriteTo(message, &ipv6.ControlMessage{HopLimit: 255, IfIndex: index}, &net.IPAddr{IP: net.ParseIP("ff02::1")})
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
}

// withoutIPv4 leaves a host IPv6.
func withoutIPv4(t *testing.T, host *kernel.Host) {
	t.Helper()
	inNamespace(t, host.Namespace, "ip -4 addr flush dev eth0")
}

// Hosts without IPv4 of their own reach servers of IPv4 through a NAT64, found by DNS or
// by what routers advertise, and are told what that NAT does; and hosts whose IPv4 is
// translated back and forth, that it is.
func TestKernelTranslated(t *testing.T) {
	t.Parallel()
	n := startLab(t, "N4v6.dns", "N4v6.ra", "N4v6.none", "N4v6.clat")
	dns64 := fmt.Sprintf("%v ipv4only.arpa\n%v ipv4only.arpa\n%v only4.example\n", behind64("192.0.0.170"), behind64("192.0.0.171"), behind64("192.0.2.1"))
	plain := "192.0.2.1 only4.example\n"
	for site := range map[string]bool{"N4v6.dns": true, "N4v6.ra": true, "N4v6.none": true, "N4v6.clat": true} {
		withoutIPv4(t, n.Hosts(site)[0])
	}
	startNAT64(t, n.Hosts("N4v6.dns")[0])
	startNAT64(t, n.Hosts("N4v6.ra")[0])
	advertise(t, n.Hosts("N4v6.ra")[0])

	clat := n.Hosts("N4v6.clat")[0]
	startNAT64(t, clat)
	own, lan := "2001:db8:4::464", clat.Addrs[1].String()
	tayga(t, clat.Namespace, "clat0", "ipv4-addr 192.0.0.2\nipv6-addr 2001:db8:66::1\nmap 192.0.0.1 "+own+"\n",
		"sysctl -q -w net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1", "ip route add "+own+" dev clat0",
		"ip addr add 192.0.0.1/32 dev clat0", "ip route add default dev clat0")
	inNamespace(t, routerOf(clat), "ip route add "+own+" via "+lan)

	const through = "NAT64, endpoint-independent mapping, port-restricted: this host has no IPv4, so that peers which have nothing else take a relay"
	for _, test := range []struct {
		site, hosts string
		args        []string
		code        int
		verdict     string
		says        string
	}{
		{"N4v6.dns", dns64, []string{"-6", "--server", "192.0.2.1"}, exitRelay, through, "NAT64 by 2001:db8:64::/96 makes IPv4 of this host's IPv6"},
		{"N4v6.dns", dns64, []string{"-6", "--server", "only4.example"}, exitRelay, through, "NAT64 by 2001:db8:64::/96"},
		{"N4v6.dns", dns64, []string{"-6", "--server", behind64("192.0.2.1").String()}, exitRelay, through, "NAT64 by 2001:db8:64::/96"},
		{"N4v6.dns", plain, []string{"--server", "only4.example"}, exitUnsure, "", "this host has no IPv4 address: -6 asks over IPv6"},
		{"N4v6.ra", plain, []string{"-6", "--server", "only4.example"}, exitRelay, through, "NAT64 by 2001:db8:64::/96"},
		{"N4v6.none", plain, []string{"-6", "--server", "only4.example"}, exitUnsure, "", "only4.example has no IPv6 address, and no NAT64 is found here"},
		{"N4v6.none", plain, []string{"-6", "--server", "192.0.2.1"}, exitUsage, "", "no NAT64 is found here"},
		{"N4v6.clat", dns64, []string{"--server", "192.0.2.1"}, exitDirect, "464XLAT, endpoint-independent mapping, port-restricted: ", "464XLAT: this host's IPv4 address, 192.0.0.1, is translated to IPv6, and by the carrier's NAT64 (2001:db8:64::/96) back"},
		{"N4v6.clat", "", []string{"--server", "192.0.2.1"}, exitDirect, "IPv4 over IPv6, endpoint-independent mapping, port-restricted: ", "464XLAT or DS-Lite"},
	} {
		t.Run(test.site+" "+strings.Join(test.args, " "), func(t *testing.T) {
			var out, errs bytes.Buffer
			cmd := n.named(t, test.hosts, n.natprobe(append([]string{"run", "--quick", "--json"}, test.args...)...))
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := n.Hosts(test.site)[0].Start(cmd); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its code says how it ends
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit %d, want %d: %s%s", code, test.code, &out, &errs)
			}
			if out.Len() == 0 {
				if !strings.Contains(errs.String(), test.says) {
					t.Errorf("%s; want %q", &errs, test.says)
				}
				return
			}
			r := decode[report.Report](t, out.String())
			if !strings.HasPrefix(r.Verdict, test.verdict) || !strings.Contains(r.NATs(), test.says) || !r.Seen.Addr().Is4() {
				t.Errorf("%q, %q: seen at %v", r.Verdict, r.NATs(), r.Seen)
			}
			// The node's introductions name IPv4 addresses.
			if node := r.Depth.Node; node == nil || (node.Class == natprobe.Silent) != (test.code == exitRelay) {
				t.Errorf("the node: %+v", node)
			}
		})
	}
}
