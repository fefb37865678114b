package main

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/report"
)

// inNamespace runs commands in that of a host, or of the router of its site.
func inNamespace(t *testing.T, namespace string, commands ...string) {
	t.Helper()
	for _, c := range commands {
		words := append([]string{"--net=/run/netns/" + namespace}, strings.Fields(c)...)
		if out, err := exec.CommandContext(t.Context(), "nsenter", words...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c, err, out)
		}
	}
}

func routerOf(host *kernel.Host) string {
	return strings.TrimSuffix(host.Namespace, "-host") + "-router"
}

// listener counts what comes to a port of a namespace.
func listener(t *testing.T, host *kernel.Host, at string) func() int {
	t.Helper()
	var c net.PacketConn
	if err := host.Do(func() (err error) {
		c, err = net.ListenPacket("udp4", at)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func() int {
		n := 0
		for buf := make([]byte, 2048); ; n++ {
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.ReadFrom(buf); err != nil {
				return n
			}
		}
	}
}

// Only the router that is on the way to the server is asked, and compared: none where a
// default route leads to a link without one, and not the network's own where a VPN has
// taken the way by two routes of half of all addresses each.
func TestKernelWays(t *testing.T) {
	t.Parallel()
	n := startLab(t, "N0", "N4", "N4.vpn", "N4.rules", "N0.far")
	server := []string{"run", "--quick", "--json", "--server", lab.FirstNodeAddress.String()}
	far := n.Hosts("N0.far")[0]
	inNamespace(t, far.Namespace, "sysctl -q -w net.ipv4.ip_forward=1", "nft add table ip nat",
		"nft add chain ip nat post { type nat hook postrouting priority 100 ; }", "nft add rule ip nat post oifname wan masquerade")
	for i, site := range []string{"N4.vpn", "N4.rules"} {
		host := n.Hosts(site)[0]
		network := []string{"10.8.1.", "10.8.2."}[i]
		near, there := "tun0", []string{"vpn1", "vpn2"}[i]
		inNamespace(t, host.Namespace, "ip link add "+near+" type veth peer name "+there+" netns "+far.Namespace,
			"ip addr add "+network+"2/24 dev "+near, "ip link set "+near+" up")
		inNamespace(t, far.Namespace, "ip addr add "+network+"1/24 dev "+there, "ip link set "+there+" up")
	}
	inNamespace(t, n.Hosts("N4.vpn")[0].Namespace, "ip route add 0.0.0.0/1 via 10.8.1.1", "ip route add 128.0.0.0/1 via 10.8.1.1")
	// As wg-quick does it: the main table is left as it was.
	inNamespace(t, n.Hosts("N4.rules")[0].Namespace, "ip route add default via 10.8.2.1 table 51820", "ip rule add to 192.0.2.0/24 lookup 51820")
	for _, test := range []struct {
		site   string
		router netip.Addr
		at     string // where nobody is to be asked
		in     *kernel.Host
		tunnel bool
		seen   netip.Addr
		says   string
	}{
		{"N0", netip.Addr{}, "0.0.0.0:5351", n.Hosts("N0")[0], true, n.Hosts("N0")[0].Addrs[0], "no router is on this way"},
		{"N4", netip.MustParseAddr("10.2.0.1"), "", nil, false, netip.MustParseAddr("198.51.100.2"), ""},
		{"N4.vpn", netip.MustParseAddr("10.8.1.1"), "10.3.0.1:5351", &kernel.Host{Namespace: routerOf(n.Hosts("N4.vpn")[0])}, true, far.Addrs[0], ""},
		{"N4.rules", netip.MustParseAddr("10.8.2.1"), "10.4.0.1:5351", &kernel.Host{Namespace: routerOf(n.Hosts("N4.rules")[0])}, true, far.Addrs[0], ""},
	} {
		t.Run(test.site, func(t *testing.T) {
			t.Parallel()
			asked := func() int { return 0 }
			if test.in != nil {
				asked = listener(t, test.in, test.at)
			}
			code, out, errs := n.at(t, test.site, server...)
			if code != exitDirect {
				t.Fatalf("exit %d: %s%s", code, out, errs)
			}
			r := decode[report.Report](t, out)
			if r.Way == nil || r.Way.Router != test.router || r.Way.Tunnel != test.tunnel || r.Seen.Addr() != test.seen {
				t.Errorf("seen at %v by %+v", r.Seen, r.Way)
			}
			if wants := map[bool]string{true: "NAT behind tun0, a tunnel, ", false: "home router, "}[test.tunnel]; test.site != "N0" && !strings.HasPrefix(r.Verdict, wants) {
				t.Errorf("%q, want %q", r.Verdict, wants)
			}
			if got := asked(); got > 0 {
				t.Errorf("%d packets for %s", got, test.at)
			}
			for _, g := range r.Depth.Gateways {
				if test.says != "" && !strings.Contains(g.Text, test.says) && g.Protocol != "UPnP IGD" || g.External.IsValid() {
					t.Errorf("%+v", g)
				}
			}
		})
	}
}

// A network that goes away for a while ends no watch, whatever it is bound to, and no
// progress goes into a pipe.
func TestKernelWatch(t *testing.T) {
	t.Parallel()
	n := startLab(t, "N4", "N4.bound")
	for _, site := range []string{"N4", "N4.bound"} {
		t.Run(site, func(t *testing.T) {
			t.Parallel()
			args := []string{"watch", "--quick", "--every", "10s", "--server", lab.FirstNodeAddress.String()}
			if site == "N4.bound" {
				args = append(args, "--bind", "eth0")
			}
			host := n.Hosts(site)[0]
			var out, errs said
			cmd := n.natprobe(args...)
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := host.Start(cmd); err != nil {
				t.Fatal(err)
			}
			out.after(t, "RTMFP")
			addr := strings.TrimSuffix(host.Addrs[0].String(), "2")
			inNamespace(t, host.Namespace, "ip addr flush dev eth0", "ip link set eth0 down")
			out.after(t, "not measured")
			inNamespace(t, host.Namespace, "ip link set eth0 up", "ip addr add "+addr+"2/24 dev eth0", "ip route add default via "+addr+"1")
			out.after(t, "answered again, after")
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its code says how it ends
			last := strings.Split(strings.TrimSpace(out.String()), "\n")
			if code := cmd.ProcessState.ExitCode(); code != exitDirect || !strings.Contains(last[len(last)-1], "no answer 1 time") || strings.Contains(out.String(), "invalid") {
				t.Errorf("exit %d: %s%s", code, &out, &errs)
			}
			if errs.String() != "" {
				t.Errorf("on stderr: %s", &errs)
			}
		})
	}
}
