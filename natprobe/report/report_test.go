package report

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pileus/natprobe"
)

func recordOf(obs []natprobe.Observation) Record {
	return Record{Runs: []Run{{Server: nodeMain, Observations: obs}}}
}

func TestReport(t *testing.T) {
	rec := recordOf(mapped([]uint16{50000, 50004}, []uint16{50001, 50005}))
	rec.Runs[0].Notes = []string{"a remark"}
	r := New(rec, at(2000), nil)
	var out bytes.Buffer
	if err := r.WriteText(&out, Style{}); err != nil {
		t.Fatal(err)
	}
	want := `symmetric NAT, a port for each destination, ports that step by +1
  address     192.168.1.2:40000 seen as 198.51.100.1:40000 by 192.0.2.1:1935: a NAT
  mapping     APDM, a public port for each destination (0 of 4 tries show the same address)
  filtering   APDF, packets pass from addresses and ports written to (0 of 14 probes from elsewhere passed)
  ports       stepping by +1, others in between take up to 2 (4 mappings)
  hairpin     unknown (0 of 0)
  advice      Peers are met by predicting ports, which other traffic can upset. A port forwarding on the router makes it certain.
  note        a remark
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestVerdicts(t *testing.T) {
	asked := natprobe.Observation{Kind: natprobe.KindControlMapping, Node: nodeMain, At: at(1020), Since: at(0), Tries: 7}
	for name, test := range map[string]struct {
		obs    []natprobe.Observation
		direct natprobe.Answer
		says   string
	}{
		"home":      {home(), natprobe.Yes, "home router, endpoint-independent mapping, port-restricted"},
		"symmetric": {mapped([]uint16{61000, 1234, 30000}, []uint16{9999, 45678, 22222}), natprobe.No, "symmetric NAT, a port for each destination, ports that cannot be predicted"},
		"no rule":   {mapped([]uint16{61000}, []uint16{9999}), natprobe.Unknown, "symmetric NAT, a port for each destination, filtering APDF"},
		"no answer": {[]natprobe.Observation{asked}, natprobe.No, "no UDP: 192.0.2.1:1935 did not answer any of 7 requests"},
		"nothing":   {nil, natprobe.Unknown, "nothing is known: "},
		"one IP":    {mapped([]uint16{40000, 40000}, nil), natprobe.Unknown, "NAT, mapping EIM or ADM, filtering APDF"},
	} {
		r := New(recordOf(test.obs), at(2000), nil)
		if r.Direct != test.direct || !strings.HasPrefix(r.Verdict, test.says) {
			t.Errorf("%s: %v %q", name, r.Direct, r.Verdict)
		}
		if name == "nothing" != r.End().IsZero() || r.End().Sub(at(0)) > 2*time.Second {
			t.Errorf("%s: ends %v", name, r.End())
		}
	}
}

// A verdict says what is not known, and what would tell it; where nothing can be known,
// why.
func TestUnknowns(t *testing.T) {
	seenAt := func(own, seen string, server netip.AddrPort) []natprobe.Observation {
		return []natprobe.Observation{
			{Kind: natprobe.KindControlMapping, Via: natprobe.ViaBinding, Node: server, Since: at(0), At: at(40), Tries: 1, Hits: 1, Seen: netip.MustParseAddrPort(seen)},
			{Kind: natprobe.KindObserved, Via: natprobe.ViaBinding, Node: server, Seen: netip.MustParseAddrPort(seen), At: at(40)},
			{Kind: natprobe.KindReported, Seen: netip.MustParseAddrPort(own), At: at(40)},
			{Kind: natprobe.KindMapping, Via: natprobe.ViaBinding, Node: netip.AddrPortFrom(server.Addr(), 3479), Since: at(40), At: at(80), Tries: 1, Hits: 1, Seen: netip.MustParseAddrPort(seen)},
		}
	}
	six := netip.MustParseAddrPort("[2001:db8:ffff::1]:3478")
	host := "[2001:db8::2]:40000"
	public := seenAt(host, host, six)
	introduced := func(f natprobe.Filtering, m natprobe.Mapping, c natprobe.Class, seen string) *Node {
		return &Node{At: six, Works: natprobe.Yes, Seen: netip.MustParseAddrPort(seen), Filtering: f, Mapping: m, Class: c}
	}
	nat := seenAt("192.168.1.2:40000", "198.51.100.1:40000", nodeMain)
	loopback := netip.MustParseAddrPort("127.0.0.1:3478")
	for name, test := range map[string]struct {
		obs      []natprobe.Observation
		node     *Node
		direct   natprobe.Answer
		class    natprobe.Class
		verdict  string
		unknown  string
		evidence string
	}{
		"public, one address": {
			public, nil, natprobe.Unknown, natprobe.ClassUnknown,
			"public host, filtering unknown (a server with two addresses, or a pileus node tells)", "filtering", "",
		},
		"public, and a node's introductions": {
			public, introduced(natprobe.APDF, natprobe.MappingNotAPDM, natprobe.ClassUnknown, host), natprobe.Yes, natprobe.Firewall,
			"public host behind a stateful firewall", "", "filtering   APDF, packets pass from addresses and ports written to (0 of 0 probes from elsewhere passed; by the node's introductions)",
		},
		"public, and introductions by another way": {
			public, introduced(natprobe.APDF, natprobe.EIM, natprobe.ClassUnknown, "[2001:db8:7::2]:40000"), natprobe.Unknown, natprobe.ClassUnknown,
			"public host, filtering unknown", "filtering", "",
		},
		"public, and introductions that know as little": {
			public, introduced(natprobe.FilteringUnknown, natprobe.MappingNotAPDM, natprobe.ClassUnknown, host), natprobe.Unknown, natprobe.ClassUnknown,
			"public host, filtering unknown", "filtering", "",
		},
		"a NAT, one address": {
			nat, nil, natprobe.Unknown, natprobe.ClassUnknown,
			"NAT, mapping EIM or ADM, filtering unknown (a server with two addresses, or a pileus node tells)", "mapping filtering", "mapping: told by a second --server",
		},
		"a NAT, and a node's introductions": {
			nat, introduced(natprobe.APDF, natprobe.EIM, natprobe.PortRestricted, "198.51.100.1:50000"), natprobe.Yes, natprobe.PortRestricted,
			"home router, ", "", "",
		},
		"a NAT, and a node that sees another mapping": {
			nat, introduced(natprobe.APDF, natprobe.APDM, natprobe.SymmetricRandom, "198.51.100.1:50000"), natprobe.Unknown, natprobe.ClassUnknown,
			"NAT, mapping unknown, filtering APDF", "mapping", "disagreed   mapping: EIM or ADM, APDM",
		},
		"a NAT that lets UDP out to a node alone": {
			nat[:3], introduced(natprobe.FilteringUnknown, natprobe.MappingUnknown, natprobe.Blocked, "198.51.100.1:50000"), natprobe.No, natprobe.Blocked,
			"firewall that lets UDP out to few ports or addresses", "mapping filtering", "routes      blocked but towards few ports or addresses",
		},
		"loopback": {
			seenAt("127.0.0.1:40000", "127.0.0.1:40000", loopback), nil, natprobe.Unknown, natprobe.ClassUnknown,
			"nothing is known: loopback tells nothing of a network: ask a server on another host", "", "",
		},
		"loopback, and a node's introductions": {
			seenAt("127.0.0.1:40000", "127.0.0.1:40000", loopback), introduced(natprobe.EIF, natprobe.EIM, natprobe.Public, "127.0.0.1:50000"), natprobe.Unknown, natprobe.ClassUnknown,
			"nothing is known: loopback", "", "",
		},
		"this host itself": {
			seenAt("192.0.2.1:40000", "192.0.2.1:40000", nodeMain), nil, natprobe.Unknown, natprobe.ClassUnknown,
			"nothing is known: 192.0.2.1 is this host itself", "", "",
		},
		"inside a network": {
			seenAt("192.168.1.2:40000", "192.168.1.2:40000", netip.MustParseAddrPort("192.168.1.9:3478")), nil, natprobe.Unknown, natprobe.ClassUnknown,
			"public host, filtering unknown", "filtering", "192.168.1.9 is inside a network: nothing is said of the way beyond",
		},
	} {
		rec := recordOf(test.obs)
		rec.Depth.Node = test.node
		r := New(rec, at(2000), nil)
		var unknown []string
		for _, u := range r.Unknown {
			unknown = append(unknown, u.Question)
		}
		if r.Direct != test.direct || r.Class != test.class || !strings.HasPrefix(r.Verdict, test.verdict) || strings.Join(unknown, " ") != test.unknown {
			t.Errorf("%s: direct %v, %v, %q, unknown %q", name, r.Direct, r.Class, r.Verdict, unknown)
		}
		var out bytes.Buffer
		if err := r.WriteText(&out, Style{}); err != nil || !strings.Contains(out.String(), test.evidence) {
			t.Errorf("%s: %v: %s", name, err, &out)
		}
	}
}

// What stands between a host and the Internet is named after what is known of it, and no
// further.
func TestArrangements(t *testing.T) {
	addr := netip.MustParseAddr
	router := &Way{Interface: "eth0", Router: addr("192.168.1.1")}
	public := addr("198.51.100.1")
	hops := func(beyond, at int, names ...string) *Path {
		p := &Path{Beyond: beyond, At: at}
		for _, n := range names {
			p.Hops = append(p.Hops, addr(n))
		}
		return p
	}
	local := func(rec *Record, text string) {
		for i, o := range rec.Runs[0].Observations {
			if o.Kind == natprobe.KindReported {
				rec.Runs[0].Observations[i].Seen = netip.AddrPortFrom(addr(text), 40000)
			}
		}
	}
	const usual = "endpoint-independent mapping, port-restricted"
	for name, test := range map[string]struct {
		change  func(*Record)
		verdict string
		nats    string
	}{
		"nothing is known": {func(*Record) {}, "home router, " + usual, ""},
		"one NAT, by hops": {func(r *Record) { r.Depth.Path = hops(0, 1, "192.168.1.1", "203.0.113.1") }, "home router, " + usual, "one: 192.168.1.1 has 198.51.100.1 itself"},
		"one NAT, by the router": {func(r *Record) {
			r.Way, r.Depth.Gateways = router, []Gateway{{Protocol: "PCP", At: "192.168.1.1", External: public}}
		}, "home router, " + usual, "one: the router has 198.51.100.1 itself"},
		"a carrier's NAT, by hops": {
			func(r *Record) { r.Depth.Path = hops(1, 2, "192.168.1.1", "100.64.0.1") }, "home router behind a carrier's NAT, " + usual,
			"two: 198.51.100.1 is 2 hops away, behind 192.168.1.1, and the way goes on through a carrier's 100.64.0.1",
		},
		"a carrier's NAT somewhere": {
			func(r *Record) { r.Depth.Path = hops(2, 0, "192.168.1.1", "100.64.0.1") }, "home router behind a carrier's NAT, " + usual,
			"two: 198.51.100.1 is 3 hops away or more, behind 100.64.0.1, and the way goes on through a carrier's 100.64.0.1",
		},
		"another NAT, whose it is": {
			func(r *Record) { r.Depth.Path = hops(1, 2, "192.168.1.1", "10.0.0.1") }, "home router, " + usual,
			"the router has not the public address: 198.51.100.1 is 2 hops away, behind 192.168.1.1, so that another NAT translates, by itself or too",
		},
		"carriers' addresses, but one NAT": {func(r *Record) { r.Depth.Path = hops(0, 1, "192.168.1.1", "100.64.0.1") }, "home router, " + usual, "one: "},
		"a file that somebody changed":     {func(r *Record) { r.Depth.Path = &Path{Beyond: 9, At: 1} }, "home router, " + usual, ""},
		"a carrier's NAT, by the router": {func(r *Record) {
			r.Way, r.Depth.Gateways = router, []Gateway{{Protocol: "PCP", At: "192.168.1.1", External: addr("100.64.0.7")}}
		}, "home router behind a carrier's NAT, " + usual, "two: the router's own address is 100.64.0.7"},
		"another router's word": {func(r *Record) {
			r.Way, r.Depth.Gateways = router, []Gateway{{Protocol: "UPnP IGD", At: "192.168.1.254", External: addr("100.64.0.7")}}
		}, "home router, " + usual, ""},
		"of another family": {func(r *Record) {
			r.Way, r.Depth.Gateways = router, []Gateway{{Protocol: "PCP", At: "192.168.1.1", External: addr("2001:db8::1")}}
		}, "home router, " + usual, ""},
		"464XLAT on this host": {func(r *Record) {
			local(r, "192.0.0.1")
			r.Depth.IPv6 = &IPv6{NAT64: netip.MustParsePrefix("64:ff9b::/96")}
		}, "464XLAT, " + usual, "464XLAT: this host's IPv4 address, 192.0.0.1, is translated to IPv6, and by the carrier's NAT64 (64:ff9b::/96) back"},
		"464XLAT or DS-Lite": {func(r *Record) { local(r, "192.0.0.2") }, "IPv4 over IPv6, " + usual, "this host's IPv4 address, 192.0.0.2, is for IPv4 that is carried over IPv6"},
		"464XLAT in the router": {func(r *Record) {
			r.Way, r.Depth.Gateways = router, []Gateway{{Protocol: "PCP", At: "192.168.1.1", External: addr("192.0.0.1")}}
		}, "IPv4 over IPv6, " + usual, "the router's own IPv4 address, 192.0.0.1, is for IPv4"},
		"a carrier's customer itself": {func(r *Record) { local(r, "100.64.3.4") }, "carrier's NAT, " + usual, "this host's address, 100.64.3.4, is of a carrier's NAT"},
		"NAT64, and IPv4 too": {func(r *Record) {
			r.Runs[0].NAT64, r.Runs[0].Own = netip.MustParsePrefix("64:ff9b::/96"), addr("2001:db8::2")
			r.Host.Interfaces = []Interface{{Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.1.2/24")}}}
		}, "NAT64, " + usual, "NAT64 by 64:ff9b::/96"},
		"NAT64, and IPv6 alone": {func(r *Record) {
			r.Runs[0].NAT64, r.Runs[0].Own = netip.MustParsePrefix("64:ff9b::/96"), addr("2001:db8::2")
			r.Host.Interfaces = []Interface{{Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("2001:db8::2/64")}}}
		}, "NAT64, " + usual + ": this host has no IPv4", "NAT64 by 64:ff9b::/96"},
		"a VPN": {func(r *Record) {
			r.Way, r.Depth.Path = &Way{Interface: "wg0", Tunnel: true}, hops(0, 1, "10.8.0.1")
		}, "NAT behind wg0, a tunnel, " + usual, "wg0 is a tunnel"},
		"464XLAT by a tunnel's interface": {func(r *Record) {
			local(r, "192.0.0.4")
			r.Way = &Way{Interface: "clat4", Tunnel: true}
		}, "IPv4 over IPv6, " + usual, "this host's IPv4 address, 192.0.0.4"},
		"several lines": {func(r *Record) {
			for i, o := range r.Runs[0].Observations {
				if o.Kind == natprobe.KindMapping && o.Node.Port()%2 == 0 {
					r.Runs[0].Observations[i].Seen = netip.MustParseAddrPort("203.0.113.9:40000")
				}
			}
			r.Runs[0].Server = nodeMain
		}, "router with several lines: NAT, mapping unknown", "each flow leaves by one of 198.51.100.1, 203.0.113.9, with one port on each"},
		"several addresses of a symmetric NAT": {func(r *Record) {
			for i, o := range r.Runs[0].Observations {
				if o.Kind == natprobe.KindMapping {
					r.Runs[0].Observations[i].Seen = netip.AddrPortFrom(addr("203.0.113.9"), uint16(50000+i))
				}
			}
		}, "symmetric NAT", ""},
	} {
		rec := recordOf(home())
		test.change(&rec)
		r := New(rec, at(2000), nil)
		if !strings.HasPrefix(r.Verdict, test.verdict) || !strings.HasPrefix(r.NATs(), test.nats) || test.nats == "" && r.NATs() != "" {
			t.Errorf("%s: %q, %q", name, r.Verdict, r.NATs())
		}
		if (r.Direct == natprobe.Yes) != strings.HasSuffix(test.verdict, usual) {
			t.Errorf("%s: direct %v", name, r.Direct)
		}
	}
}

// What else comes back over UDP makes "no UDP" untrue.
func TestUDPElsewhere(t *testing.T) {
	asked := natprobe.Observation{Kind: natprobe.KindControlMapping, Node: nodeMain, At: at(1020), Since: at(0), Tries: 7}
	server := nodeMain.Addr()
	for name, test := range map[string]struct {
		change func(*Record)
		noUDP  bool
		says   string
	}{
		"nothing":       {func(*Record) {}, true, "no UDP: "},
		"RTMFP":         {func(r *Record) { r.Depth.Node = &Node{At: nodeMain, Works: natprobe.Yes} }, false, "UDP comes back, but nothing is known: 192.0.2.1:1935 answers to RTMFP"},
		"no RTMFP":      {func(r *Record) { r.Depth.Node = &Node{At: nodeMain, Works: natprobe.No} }, true, "no UDP: "},
		"IPv6":          {func(r *Record) { r.Depth.IPv6 = &IPv6{Seen: netip.MustParseAddrPort("[2001:db8::2]:9")} }, false, "UDP comes back, but nothing is known: 192.0.2.1:1935 is silent over IPv4, and answers over IPv6: run natprobe with -6"},
		"TURN":          {func(r *Record) { r.Depth.Services = []Service{{Name: OverUDP, Works: natprobe.Yes}} }, false, "UDP comes back, but nothing is known: TURN answers"},
		"TURN over TCP": {func(r *Record) { r.Depth.Services = []Service{{Name: "TURN over TCP", Works: natprobe.Yes}} }, true, "no UDP: "},
		"a closed port": {func(r *Record) {
			r.Runs[0].Heard = []Heard{{HeardICMP, netip.AddrPortFrom(server, 0), "nothing listens there", 1}}
		}, false, "UDP comes back, but nothing is known: 192.0.2.1 says: nothing listens there"},
		"somebody's word": {func(r *Record) {
			r.Runs[0].Heard = []Heard{{Kind: HeardICMP, Text: "nothing listens there, or a firewall says so", Count: 1}}
		}, false, "UDP comes back, but nothing is known: nothing listens there, or"},
		"a firewall": {func(r *Record) {
			r.Runs[0].Heard = []Heard{{HeardICMP, netip.MustParseAddrPort("192.168.1.1:0"), "a firewall refuses this", 1}}
		}, true, "no UDP: 192.0.2.1:1935 did not answer any of 7 requests; 192.168.1.1 says: a firewall refuses this"},
		"another's answer": {func(r *Record) {
			r.Runs[0].Heard = []Heard{{HeardSTUN, netip.MustParseAddrPort("203.0.113.9:9"), "an answer from another address", 1}}
		}, false, "UDP comes back, but nothing is known: 203.0.113.9:9 sends: an answer from another address"},
	} {
		rec := recordOf([]natprobe.Observation{asked})
		test.change(&rec)
		r := New(rec, at(2000), nil)
		if r.NoUDP != test.noUDP || !strings.HasPrefix(r.Verdict, test.says) || (r.Direct == natprobe.No) != test.noUDP {
			t.Errorf("%s: %t, %v, %q", name, r.NoUDP, r.Direct, r.Verdict)
		}
	}
}
