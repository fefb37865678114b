package prober_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
	"pileus/natprobe/responder"
	"pileus/rtmfp/udp"
)

// fault is what is done to a site, and what is then found.
type fault struct {
	router, host []string // commands in the namespaces of both, behind an empty table of rules

	out, in             int                    // path MTU; 0: 1500
	inAtLeast           bool                   // longer questions do not arrive
	lostFragments       string                 // the ways on which they do not arrive
	longLost            bool                   // nor do requests for fragments, so nothing is known of the way in
	markedOut, markedIn func(mark string) bool // whether a mark is changed; nil: none
	fresh, used         float64                // lifetimes in seconds; 0: not measured
	twice               bool                   // what the host's kernel learned the first time changes nothing
}

func isECN(mark string) bool {
	return strings.HasPrefix(mark, "ECT") || mark == "CE" || mark == "AF41+ECT(0)"
}

func isDSCP(mark string) bool {
	return mark == "EF" || mark == "CS1" || strings.HasPrefix(mark, "AF41")
}

// Each fault is in some sites, and not in others.
var faults = map[string]fault{
	"clean": {},
	"ecnout.dscpin.mtuout": {
		router: []string{
			`nft add rule ip fault post oifname "wan" ip ecn set not-ect`, `nft add rule ip fault post oifname "lan*" ip dscp set cs0`,
			"ip link set wan mtu 1400",
		},
		markedOut: isECN, markedIn: isDSCP, out: 1400,
	},
	"dscpout.ecnin.mtuin": {
		router: []string{
			`nft add rule ip fault post oifname "wan" ip dscp set cs0`, `nft add rule ip fault post oifname "lan*" ip ecn set not-ect`,
			"ip link set lan0 mtu 1400",
		},
		markedOut: isDSCP, markedIn: isECN, in: 1400,
	},
	"mtuboth.fragout": {
		router: []string{
			"ip link set wan mtu 1454", "ip link set lan0 mtu 1333",
			`nft add rule ip fault pre iifname "lan*" ip frag-off & 0x3fff != 0 drop`,
		},
		out: 1454, in: 1333, lostFragments: "out", twice: true,
	},
	// Nobody says why: long packets vanish on the way in, before they are put together.
	"hole": {
		router: []string{`nft add rule ip fault pre iifname "wan" ip length > 1397 drop`},
		in:     1397, lostFragments: "in",
	},
	// The host fragments what is longer than 1400, and nobody lets that pass.
	"nofrags": {
		host: []string{"ip link set eth0 mtu 1400"}, router: []string{"nft add rule ip fault pre ip frag-off & 0x3fff != 0 drop"},
		out: 1400, in: 1400, inAtLeast: true, lostFragments: "out", longLost: true,
	},
	"life8":  {router: []string{conntrack(8, 13)}, fresh: 8, used: 13},
	"life14": {router: []string{conntrack(14, 16)}, fresh: 14, used: 16},
}

// conntrack has a router's NAT keep mappings for so many seconds.
func conntrack(fresh, used int) string {
	return fmt.Sprintf("sysctl -q -w net.netfilter.nf_conntrack_udp_timeout=%d net.netfilter.nf_conntrack_udp_timeout_stream=%d", fresh, used)
}

// damage does what a fault is.
func damage(t *testing.T, host *kernel.Host, f fault) {
	t.Helper()
	router := routerOf(host)
	inNamespace(t, router, "nft add table ip fault",
		"nft add chain ip fault post { type filter hook postrouting priority 300 ; }",
		"nft add chain ip fault pre { type filter hook prerouting priority -450 ; }")
	inNamespace(t, router, f.router...)
	inNamespace(t, host.Namespace, f.host...)
}

func measureSite(t *testing.T, host *kernel.Host, lifetime time.Duration) (natprobe.Behavior, report.Depth) {
	t.Helper()
	c := prober.Config{Server: main, Listen: func() (net.PacketConn, error) {
		return listenAt(t, host, netip.AddrPortFrom(host.Addrs[0], 0)), nil
	}}
	found, err := prober.Ask(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	behavior := natprobe.Classify(found.Observations, time.Now())
	d, notes := prober.Measure(t.Context(), prober.DepthConfig{
		Config: c, Run: found, Behavior: behavior, MTU: 1500,
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
	return behavior, d
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
	for name := range faults {
		kind, _ := lab.KindNamed("N4")
		c.Sites = append(c.Sites, kernel.Site{Label: name, Kind: kind})
	}
	alg, _ := lab.KindNamed("N3")
	alg.Chain = []lab.Behavior{alg.Chain[0]}
	alg.Chain[0].ALG = true
	hairpin, _ := lab.KindNamed("N10")
	six, _ := lab.KindNamed("N12")
	c.Sites = append(c.Sites, kernel.Site{Label: "alg", Kind: alg}, kernel.Site{Label: "hairpin", Kind: hairpin}, kernel.Site{Label: "ipv6", Kind: six})
	for i, a := range allocators {
		c.Sites = append(c.Sites, kernel.Site{Label: fmt.Sprintf("ports%d", i), Kind: a.kind()})
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
	serveHelp(t, n.Node())
	t.Run("sites", func(t *testing.T) {
		for name, f := range faults {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				damage(t, n.Hosts(name)[0], f)
				limit := time.Duration(1.6 * max(f.fresh, f.used) * float64(time.Second))
				b, d := measureSite(t, n.Hosts(name)[0], limit)
				f.judge(t, d)
				if f.twice {
					_, d := measureSite(t, n.Hosts(name)[0], 0)
					f.judge(t, d)
				}
				if b.Hairpin.Answer != natprobe.No {
					t.Errorf("hairpin: %+v", b.Hairpin)
				}
			})
		}
		t.Run("hairpin", func(t *testing.T) {
			t.Parallel()
			if b, _ := measureSite(t, n.Hosts("hairpin")[0], 0); b.Hairpin.Answer != natprobe.Yes {
				t.Errorf("hairpin: %+v", b.Hairpin)
			}
		})
		for i, a := range allocators {
			t.Run(a.String(), func(t *testing.T) {
				t.Parallel()
				judgePorts(t, a, n.Hosts(fmt.Sprintf("ports%d", i))[0])
			})
		}
		t.Run("alg", func(t *testing.T) {
			t.Parallel()
			if _, d := measureSite(t, n.Hosts("alg")[0], 0); d.ALG == nil || d.ALG.Mangled == 0 || d.ALG.Mangled != d.ALG.Answers {
				t.Errorf("payloads: %+v", d.ALG)
			}
		})
	})
}

// kind is a symmetric NAT that gives out ports so: random ones Linux itself.
func (a allocator) kind() lab.Kind {
	k, _ := lab.KindNamed("N6")
	k.Chain = []lab.Behavior{k.Chain[0]}
	a.apply(&k.Chain[0])
	if a.step != 1 {
		k.Looks.Allocation = lab.RandomPort // to who looks for the usual step only
	}
	return k
}

func judgePorts(t *testing.T, a allocator, host *kernel.Host) {
	t.Helper()
	r, err := prober.Run(t.Context(), prober.Config{Server: main, Listen: func() (net.PacketConn, error) {
		return listenAt(t, host, netip.AddrPortFrom(host.Addrs[0], 0)), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if right := a.says(t, r); right && a.step == 0 && !a.guessed(r.Ports, 0.25) { // of one try; TestPorts has many
		t.Errorf("%+v", r.Ports)
	} else if !right {
		t.Logf("unknown: %+v", r.Ports) // a counter that wrapped
	}
}

// serveHelp runs a responder that knows PATH-TEST in the node's namespace.
func serveHelp(t *testing.T, node *kernel.Host) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var r *responder.Responder
	if err := node.Do(func() (err error) {
		r, err = responder.New(ctx, responder.Config{
			Addrs: node.Addrs, Ports: [2]uint16{3478, 3479},
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

func (f fault) judge(t *testing.T, d report.Depth) {
	t.Helper()
	judgeMTU(t, "out", d.MTU, f.out, false)
	judgeMTU(t, "in", d.MTUIn, f.in, f.inAtLeast)
	arrive := func(way string) natprobe.Answer {
		switch {
		case way == "in" && f.longLost:
			return natprobe.Unknown
		case strings.Contains(f.lostFragments, way):
			return natprobe.No
		}
		return natprobe.Yes
	}
	if d.Fragments == nil || d.Fragments.Out.Answer != arrive("out") || d.Fragments.In.Answer != arrive("in") {
		t.Errorf("fragments: %+v", d.Fragments)
	}
	if len(d.Marks) == 0 {
		t.Error("no marks")
	}
	for _, m := range d.Marks {
		if fate := m.Fate(m.Out); (fate == "kept") == (f.markedOut != nil && f.markedOut(m.Name)) {
			t.Errorf("%s out: %s", m.Name, fate)
		}
		if fate := m.Fate(m.In); (fate == "kept") == (f.markedIn != nil && f.markedIn(m.Name)) {
			t.Errorf("%s in: %s", m.Name, fate)
		}
	}
	if d.ALG == nil || d.ALG.Mangled != 0 {
		t.Errorf("payloads: %+v", d.ALG)
	}
	if f.fresh > 0 {
		if l := d.Lifetime; l == nil || math.Abs(l.Fresh.Seconds()/f.fresh-1) > 0.1 || math.Abs(l.Used.Seconds()/f.used-1) > 0.1 ||
			l.InboundRefresh.Answer != natprobe.Yes {
			t.Errorf("lifetime: %+v", l)
		}
	}
}

// judgeMTU wants it to the byte.
func judgeMTU(t *testing.T, way string, m *report.MTU, want int, atLeast bool) {
	t.Helper()
	below := want + 1
	if want == 0 {
		want, below = 1500, 0
	}
	if atLeast {
		below = 0
	}
	if m == nil || m.Bytes != want || m.Below != below || m.Limited != (below == 0) {
		t.Errorf("path MTU %s, want %d: %+v", way, want, m)
	}
}
