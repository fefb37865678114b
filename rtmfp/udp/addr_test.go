package udp

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var addrEqual = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func addrs(s ...string) []netip.Addr {
	a := make([]netip.Addr, len(s))
	for i := range s {
		a[i] = netip.MustParseAddr(s[i])
	}
	return a
}

// sorted is Addresses, of a list that a system might give.
func sorted(local []netip.Addr) []Address {
	list := make([]Address, len(local))
	for i, a := range local {
		list[i] = Address{Addr: a, Up: true}
	}
	return inOrder(list)
}

func TestUsable(t *testing.T) {
	// In the order that an interface list might give, with one address on two interfaces.
	local := addrs("127.0.0.1", "::1", "192.168.1.7", "fe80::1", "10.0.0.5", "fd00::5", "203.0.113.9",
		"169.254.3.4", "198.51.100.7", "2001:db8::2", "10.0.0.5", "ff02::1", "224.0.0.1", "0.0.0.0")
	v4 := addrs("198.51.100.7", "203.0.113.9", "10.0.0.5", "192.168.1.7", "169.254.3.4", "127.0.0.1")
	v6 := addrs("2001:db8::2", "fd00::5", "::1")
	for _, test := range []struct {
		name     string
		wildcard netip.Addr
		want     []netip.Addr
	}{
		{"IPv4", netip.IPv4Unspecified(), v4},
		{"IPv6", netip.IPv6Unspecified(), v6},
		{"both", netip.Addr{}, slices.Concat(v4, v6)},
	} {
		got := usable(sorted(local), test.wildcard)
		if d := cmp.Diff(test.want, got, addrEqual); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
		reversed := slices.Clone(local)
		slices.Reverse(reversed)
		if d := cmp.Diff(got, usable(sorted(reversed), test.wildcard), addrEqual); d != "" {
			t.Errorf("%s: the order follows the interfaces (-given +reversed):\n%s", test.name, d)
		}
	}
}

// What is on an interface that is down is this machine's, but cannot be served; one
// that is on two is served if either is up.
func TestServeable(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	list := inOrder([]Address{
		{Addr: netip.MustParseAddr("192.0.2.2"), Interface: "eth0"},
		{Addr: a, Interface: "eth0"},
		{Addr: a, Interface: "eth1", Up: true},
	})
	if got := Serveable(list); len(list) != 3 || len(got) != 1 || got[0].Addr != a || got[0].Interface != "eth1" {
		t.Errorf("%+v of %+v", got, list)
	}
}

func TestExpandConcrete(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"203.0.113.9:1935", "203.0.113.9:1935"},
		{"[::ffff:203.0.113.9]:1935", "203.0.113.9:1935"},
		{"[fe80::1%eth0]:1", "[fe80::1%eth0]:1"},
	} {
		got, err := Expand(netip.MustParseAddrPort(test.in))
		if err != nil || len(got) != 1 || got[0] != netip.MustParseAddrPort(test.want) {
			t.Errorf("Expand(%s) = %s, %v", test.in, got, err)
		}
	}
}

// Every address of a wildcard listen answers from itself.
func TestExpandAnswersFromTheAddressAsked(t *testing.T) {
	first := listen(t, netip.MustParseAddrPort("127.0.0.1:0"))
	port := first.LocalAddr().Port()
	expanded, err := Expand(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err != nil {
		t.Fatal(err)
	}
	if len(expanded) == 0 || expanded[len(expanded)-1] != first.LocalAddr() {
		t.Fatalf("expanded to %s: loopback is not last", expanded)
	}
	client := listen(t, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	for _, a := range expanded {
		c := first
		if a != first.LocalAddr() {
			c = listen(t, a)
		}
		if n, err := client.WriteBatch([]Datagram{{Peer: a, Data: []byte("?")}}); n != 1 || err != nil {
			t.Fatalf("to %s: %d, %v", a, n, err)
		}
		asked := collect(t, c, 1, 1)
		if n, err := c.WriteBatch([]Datagram{{Peer: asked[0].Peer, Data: []byte("!")}}); n != 1 || err != nil {
			t.Fatalf("from %s: %d, %v", a, n, err)
		}
		if got := collect(t, client, 1, 1); got[0].Peer != a {
			t.Errorf("asked %s, answered from %s", a, got[0].Peer)
		}
	}
}

func TestParseListen(t *testing.T) {
	for _, test := range []struct {
		in   string
		want netip.AddrPort
	}{
		{":1935", netip.AddrPortFrom(netip.Addr{}, 1935)},
		{"0.0.0.0:1935", netip.MustParseAddrPort("0.0.0.0:1935")},
		{"[::]:1935", netip.MustParseAddrPort("[::]:1935")},
		{"[::ffff:10.0.0.5]:1935", netip.MustParseAddrPort("10.0.0.5:1935")},
	} {
		if got, err := ParseListen(test.in); err != nil || got != test.want {
			t.Errorf("ParseListen(%q) = %s, %v", test.in, got, err)
		}
	}
	for _, in := range []string{"", ":", "1935", "localhost:1935", "::1:1935:x", ":65536", "10.0.0.5"} {
		if got, err := ParseListen(in); err == nil {
			t.Errorf("ParseListen(%q) = %s", in, got)
		}
	}
}

func TestPrefix(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.9":              "203.0.113.0/24",
		"::ffff:203.0.113.9":       "203.0.113.0/24",
		"2001:db8:aaaa:bbcc::1":    "2001:db8:aaaa:bb00::/56",
		"fe80::1:2:3:4%eth0":       "fe80::/56",
		"2001:db8:aaaa:bb11::1234": "2001:db8:aaaa:bb00::/56",
	} {
		if got := Prefix(netip.MustParseAddr(in)); got != netip.MustParsePrefix(want) {
			t.Errorf("Prefix(%s) = %s, want %s", in, got, want)
		}
	}
	if got := Prefix(netip.Addr{}); got.IsValid() {
		t.Errorf("Prefix of no address = %s", got)
	}
}

func TestNames(t *testing.T) {
	n, err := NewNames(map[string]string{
		"10.0.0.5":         "198.51.100.7",
		"10.0.0.6:1935":    "198.51.100.8:11935",
		"10.0.0.6:1936":    "198.51.100.8",
		"[fd00::5]:1935":   "[2001:db8::5]:1935",
		"::ffff:10.0.0.99": "198.51.100.99",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ bind, outside string }{
		{"10.0.0.5:1935", "198.51.100.7:1935"},
		{"10.0.0.5:20000", "198.51.100.7:20000"},
		{"10.0.0.6:1935", "198.51.100.8:11935"},
		{"10.0.0.6:1936", "198.51.100.8:1936"},
		{"10.0.0.6:1937", "10.0.0.6:1937"},
		{"[fd00::5]:1935", "[2001:db8::5]:1935"},
		{"10.0.0.99:1", "198.51.100.99:1"},
		{"203.0.113.1:1935", "203.0.113.1:1935"},
	} {
		bind, outside := netip.MustParseAddrPort(test.bind), netip.MustParseAddrPort(test.outside)
		if got := n.Outside(bind); got != outside {
			t.Errorf("Outside(%s) = %s, want %s", bind, got, outside)
		}
		if got := n.Bind(outside); got != bind {
			t.Errorf("Bind(%s) = %s, want %s", outside, got, bind)
		}
	}
	same := netip.MustParseAddrPort("10.0.0.5:1935")
	if got := (Names{}).Outside(same); got != same {
		t.Errorf("the zero Names gives %s", got)
	}
}

func TestNamesRefuse(t *testing.T) {
	for name, pairs := range map[string]map[string]string{
		"name":              {"router.example": "198.51.100.7"},
		"no outside":        {"10.0.0.5": ""},
		"two families":      {"10.0.0.5": "2001:db8::5"},
		"port outside only": {"10.0.0.5": "198.51.100.7:1935"},
		"port 0":            {"10.0.0.5:0": "198.51.100.7"},
		"wildcard":          {"0.0.0.0": "198.51.100.7"},
		"multicast":         {"10.0.0.5": "224.0.0.1"},
		"zone":              {"fe80::1%eth0": "2001:db8::5"},
		"one outside twice": {"10.0.0.5": "198.51.100.7", "10.0.0.6": "198.51.100.7"},
		"one port twice":    {"10.0.0.5:1": "198.51.100.7:3", "10.0.0.6:2": "198.51.100.7:3"},
		"one bind twice":    {"10.0.0.5": "198.51.100.7", "::ffff:10.0.0.5": "198.51.100.8"},
	} {
		if _, err := NewNames(pairs); err == nil {
			t.Errorf("%s: %v is taken", name, pairs)
		}
	}
}
