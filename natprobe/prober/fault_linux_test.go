package prober_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/prober"
	"pileus/natprobe/responder"
	"pileus/rtmfp/udp"
)

// shortLife is what the lab's routers are told, in seconds.
const shortLife = 8

// faults are what is done to the router of a site, in its namespace.
var faults = map[string][]string{
	"clean": nil,
	"ecn":   {`nft add rule ip fault post oifname "wan" ip ecn set not-ect`},
	"dscp":  {`nft add rule ip fault post oifname "lan*" ip dscp set cs0`},
	"mtu":   {"ip link set wan mtu 1454"},
	"frag":  {"nft add rule ip fault pre ip frag-off & 0x3fff != 0 drop"},
	"life":  {fmt.Sprintf("sysctl -q -w net.netfilter.nf_conntrack_udp_timeout=%d net.netfilter.nf_conntrack_udp_timeout_stream=%d", shortLife, 2*shortLife)},
}

// damage does them, behind an empty table of rules.
func damage(t *testing.T, host *kernel.Host, fault string) {
	t.Helper()
	router := strings.TrimSuffix(host.Namespace, "-host") + "-router"
	commands := append([]string{
		"nft add table ip fault",
		"nft add chain ip fault post { type filter hook postrouting priority 300 ; }",
		"nft add chain ip fault pre { type filter hook prerouting priority -450 ; }",
	}, faults[fault]...)
	for _, c := range commands {
		words := append([]string{"netns", "exec", router}, strings.Fields(c)...)
		if out, err := exec.CommandContext(t.Context(), "ip", words...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c, err, out)
		}
	}
}

func measureSite(t *testing.T, host *kernel.Host, lifetime time.Duration) natprobe.Depth {
	t.Helper()
	c := prober.Config{Server: main, Listen: func() (net.PacketConn, error) {
		return listenAt(t, host, netip.AddrPortFrom(host.Addrs[0], 0)), nil
	}}
	found, err := prober.Ask(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	d, notes := prober.Measure(t.Context(), prober.DepthConfig{
		Config: c, Run: found, Behavior: natprobe.Classify(found.Observations, time.Now()), MTU: 1500,
		Lifetime: lifetime,
		OpenTOS: func() (conn *udp.Conn, err error) {
			return conn, host.Do(func() (err error) {
				conn, err = udp.Listen(netip.AddrPortFrom(host.Addrs[0], 0), udp.Options{})
				return err
			})
		},
	})
	if len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
	return d
}

// fates are what became of the marks, by the name of the mark.
func fates(d natprobe.Depth) (out, in map[string]string) {
	out, in = make(map[string]string), make(map[string]string)
	for _, m := range d.Marks {
		out[m.Name], in[m.Name] = m.Fate(m.Out), m.Fate(m.In)
	}
	return out, in
}

// What a real router is made to do to packets is found, and nothing else is.
func TestKernelFaults(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skipf("REAL ROUTERS ARE NOT TESTED: %v", err)
	}
	if testing.Short() {
		t.Skip("REAL ROUTERS ARE NOT TESTED: it takes half a minute")
	}
	if raceEnabled {
		t.Skip("REAL ROUTERS ARE NOT TESTED with the race detector: they are without it, and wait for real time")
	}
	var c kernel.Config
	c.Delay = 10 * time.Millisecond
	for fault := range faults {
		kind, _ := lab.KindNamed("N4")
		c.Sites = append(c.Sites, kernel.Site{Label: fault, Kind: kind})
	}
	alg, _ := lab.KindNamed("N3")
	alg.Chain = []lab.Behavior{alg.Chain[0]}
	alg.Chain[0].ALG = true
	c.Sites = append(c.Sites, kernel.Site{Label: "alg", Kind: alg})
	n, err := kernel.Up(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	serveHelp(t, n.Node())
	for fault := range faults {
		damage(t, n.Hosts(fault)[0], fault)
	}
	t.Run("sites", func(t *testing.T) {
		for fault := range faults {
			t.Run(fault, func(t *testing.T) {
				t.Parallel()
				var lifetime time.Duration
				if fault == "life" {
					lifetime = 4 * shortLife * time.Second
				}
				judge(t, fault, measureSite(t, n.Hosts(fault)[0], lifetime))
			})
		}
		t.Run("alg", func(t *testing.T) {
			t.Parallel()
			if d := measureSite(t, n.Hosts("alg")[0], 0); d.ALG == nil || d.ALG.Mangled == 0 || d.ALG.Mangled != d.ALG.Answers {
				t.Errorf("payloads: %+v", d.ALG)
			}
		})
	})
}

// serveHelp runs a responder that knows PATH-TEST in the node's namespace.
func serveHelp(t *testing.T, node *kernel.Host) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var r *responder.Responder
	if err := node.Do(func() (err error) {
		r, err = responder.New(ctx, responder.Config{
			Addrs: []netip.Addr{lab.FirstNodeAddress, lab.SecondNodeAddress}, Ports: [2]uint16{3478, 3479},
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func judge(t *testing.T, fault string, d natprobe.Depth) {
	t.Helper()
	want := 1500
	if fault == "mtu" {
		want = 1454
	}
	if d.MTU == nil || d.MTU.Bytes != want || fault == "mtu" && d.MTU.Below != want+1 {
		t.Errorf("path MTU: %+v", d.MTU)
	}
	arrive := natprobe.Yes
	if fault == "frag" {
		arrive = natprobe.No
	}
	if f := d.Fragments; f == nil || f.Out.Answer != arrive || f.In.Answer != arrive {
		t.Errorf("fragments: %+v", f)
	}
	out, in := fates(d)
	for name, fate := range out {
		if ecn := strings.HasPrefix(name, "ECT") || name == "CE"; (fate == "kept") != (fault != "ecn" || !ecn && name != "AF41+ECT(0)") {
			t.Errorf("%s out: %s", name, fate)
		}
	}
	for name, fate := range in {
		if dscp := name == "EF" || name == "CS1" || strings.HasPrefix(name, "AF41"); (fate == "kept") != (fault != "dscp" || !dscp) {
			t.Errorf("%s in: %s", name, fate)
		}
	}
	if len(out) == 0 {
		t.Error("no marks")
	}
	if d.ALG == nil || d.ALG.Mangled != 0 {
		t.Errorf("payloads: %+v", d.ALG)
	}
	if fault == "life" {
		if l := d.Lifetime; l == nil || math.Abs(l.Fresh.Seconds()/shortLife-1) > 0.1 || math.Abs(l.Used.Seconds()/(2*shortLife)-1) > 0.1 ||
			l.InboundRefresh.Answer != natprobe.Yes {
			t.Errorf("lifetime: %+v", l)
		}
	}
}
