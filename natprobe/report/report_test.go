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
			"NAT, mapping EIM or ADM, filtering unknown (a server with two addresses, or a pileus node tells)", "mapping filtering", "mapping: told by a second server",
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
