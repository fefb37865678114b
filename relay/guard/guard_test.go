package guard_test

import (
	"net/netip"
	"testing"

	"pileus/relay/guard"
	"pileus/rtmfp/udp"
)

func TestCheck(t *testing.T) {
	own := []netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:0"), netip.MustParseAddrPort("[::ffff:192.0.2.1]:1935")}
	plain := guard.New(guard.Config{Own: own})
	lab := guard.New(guard.Config{Own: own, AllowPrivate: true})
	except := guard.New(guard.Config{Own: own, Except: func(a netip.AddrPort) bool { return a.Port() >= 49152 }})
	for _, c := range []struct {
		addr          string
		plain, inALab guard.Verdict
	}{
		{"203.0.113.5:1024", guard.Allowed, guard.Allowed},
		{"[2001:db8::5]:1024", guard.Allowed, guard.Allowed},
		{"[2a00:1450::5]:1024", guard.Allowed, guard.Allowed},
		{"203.0.113.5:0", guard.Invalid, guard.Invalid},
		{"[fe80::1%eth0]:9", guard.Invalid, guard.Invalid},
		{"0.0.0.0:9", guard.Unspecified, guard.Unspecified},
		{"0.1.2.3:9", guard.Unspecified, guard.Unspecified},
		{"[::]:9", guard.Unspecified, guard.Unspecified},
		{"127.0.0.1:9", guard.Loopback, guard.Loopback},
		{"127.255.0.1:9", guard.Loopback, guard.Loopback},
		{"[::1]:9", guard.Loopback, guard.Loopback},
		{"[::ffff:127.0.0.1]:9", guard.Loopback, guard.Loopback},
		{"[::127.0.0.1]:9", guard.Translated, guard.Translated},
		{"[64:ff9b::7f00:1]:9", guard.Translated, guard.Translated},
		{"[64:ff9b:1::7f00:1]:9", guard.Translated, guard.Translated},
		{"[::ffff:0:7f00:1]:9", guard.Translated, guard.Translated},
		{"[2002:7f00:1::1]:9", guard.Translated, guard.Translated},
		{"[2001:0:4136:e378:8000:63bf:80ff:fffe]:9", guard.Translated, guard.Translated},
		{"169.254.169.254:80", guard.LinkLocal, guard.LinkLocal},
		{"[::ffff:169.254.169.254]:80", guard.LinkLocal, guard.LinkLocal},
		{"[fe80::1]:9", guard.LinkLocal, guard.LinkLocal},
		{"10.1.2.3:9", guard.Private, guard.Allowed},
		{"172.16.0.1:9", guard.Private, guard.Allowed},
		{"172.32.0.1:9", guard.Allowed, guard.Allowed},
		{"192.168.1.1:9", guard.Private, guard.Allowed},
		{"[::ffff:192.168.1.1]:9", guard.Private, guard.Allowed},
		{"100.64.0.1:9", guard.Private, guard.Allowed},
		{"100.127.255.255:9", guard.Private, guard.Allowed},
		{"[fd00::1]:9", guard.Private, guard.Allowed},
		{"[fec0::1]:9", guard.Private, guard.Allowed},
		{"224.0.0.1:9", guard.Multicast, guard.Multicast},
		{"[ff02::1]:9", guard.Multicast, guard.Multicast},
		{"255.255.255.255:9", guard.Multicast, guard.Multicast},
		{"240.0.0.1:9", guard.Reserved, guard.Reserved},
		{"192.0.0.8:9", guard.Reserved, guard.Reserved},
		{"198.51.100.7:50000", guard.Own, guard.Own},
		{"[::ffff:198.51.100.7]:50000", guard.Own, guard.Own},
		{"192.0.2.1:1935", guard.Own, guard.Own},
		{"192.0.2.1:1936", guard.Allowed, guard.Allowed},
	} {
		a := netip.MustParseAddrPort(c.addr)
		if got := plain.Check(a); got != c.plain {
			t.Errorf("%v: %v, want %v", a, got, c.plain)
		}
		if got := lab.Check(a); got != c.inALab {
			t.Errorf("%v with AllowPrivate: %v, want %v", a, got, c.inALab)
		}
		if got := plain.CheckAddr(a.Addr()); a.Port() != 0 && a.Port() != 1935 && got != c.plain {
			t.Errorf("%v without its port: %v, want %v", a.Addr(), got, c.plain)
		}
	}
	if got := plain.Check(netip.AddrPort{}); got != guard.Invalid {
		t.Errorf("no address: %v", got)
	}
	relayed := netip.MustParseAddrPort("198.51.100.7:50000")
	if got := except.Check(relayed); got != guard.Allowed {
		t.Errorf("a relayed address of ours: %v", got)
	}
	if got := except.Check(netip.AddrPortFrom(relayed.Addr(), 3478)); got != guard.Own {
		t.Errorf("a listener of ours: %v", got)
	}
	loop := guard.New(guard.Config{AllowLoopback: true})
	if got := loop.Check(netip.MustParseAddrPort("127.0.0.1:9")); got != guard.Allowed {
		t.Errorf("loopback where it is allowed: %v", got)
	}
}

func machine(prefixes ...string) []udp.Address {
	var list []udp.Address
	for _, s := range prefixes {
		p := netip.MustParsePrefix(s)
		list = append(list, udp.Address{Addr: p.Addr(), Link: p.Masked(), Up: true})
	}
	return list
}

// What the machine has now is refused now, under its outside name too, and its
// neighbours are, unless they may be sent to.
func TestFollow(t *testing.T) {
	names, err := udp.NewNames(map[string]string{"10.0.0.5": "198.51.100.7"})
	if err != nil {
		t.Fatal(err)
	}
	relayed := netip.MustParseAddrPort("203.0.113.1:50000")
	g := guard.New(guard.Config{
		AllowPrivate: true, Names: names, AllowOnLink: []netip.Prefix{netip.MustParsePrefix("203.0.113.32/28")},
		Except: func(a netip.AddrPort) bool { return a == relayed },
	})
	plain := guard.New(guard.Config{Names: names})
	check := func(when string, want map[string]guard.Verdict) {
		t.Helper()
		for addr, v := range want {
			a := netip.MustParseAddrPort(addr)
			if got := g.Check(a); got != v {
				t.Errorf("%s %v: %v, want %v", when, a, got, v)
			}
			if v == guard.Own || v == guard.Allowed && a.Addr() == relayed.Addr() {
				v = guard.Allowed // some ports of it are
			}
			if got := g.CheckAddr(a.Addr()); got != v {
				t.Errorf("%s %v without its port: %v, want %v", when, a.Addr(), got, v)
			}
		}
	}
	before := g.Epoch()
	check("at first", map[string]guard.Verdict{"203.0.113.1:9": guard.Allowed, "198.51.100.7:9": guard.Allowed, "203.0.113.99:9": guard.Allowed})
	g.Follow(machine("127.0.0.1/8", "203.0.113.1/24", "10.0.0.5/24", "2001:db8:1::5/64", "fd00::5/64", "192.0.2.9/32"), false)
	if g.Epoch() == before {
		t.Error("the epoch is the same")
	}
	check("then", map[string]guard.Verdict{
		"203.0.113.1:9": guard.Own, "203.0.113.1:50000": guard.Allowed, "198.51.100.7:9": guard.Own, "10.0.0.5:9": guard.Own,
		"203.0.113.99:9": guard.OnLink, "[::ffff:203.0.113.99]:9": guard.OnLink, "203.0.113.33:9": guard.Allowed, "203.0.114.99:9": guard.Allowed,
		"10.0.0.6:9": guard.Allowed, "[fd00::6]:9": guard.Allowed, // private ones may be sent to
		"[2001:db8:1::6]:9": guard.OnLink, "[2001:db8:2::6]:9": guard.Allowed,
		"192.0.2.9:9": guard.Own, "192.0.2.8:9": guard.Allowed,
	})
	if got := g.Links(); len(got) != 2 || got[0] != netip.MustParsePrefix("203.0.113.0/24") || got[1] != netip.MustParsePrefix("2001:db8:1::/64") {
		t.Errorf("links %v", got)
	}
	// A client that is there itself gets what it asked for; nobody else in its place.
	plain.Follow(machine("203.0.113.1/24", "10.0.0.5/24"), false)
	for _, test := range []struct {
		to, verified string
		want         guard.Verdict
	}{
		{"10.0.0.6:9", "10.0.0.6", guard.Allowed},
		{"10.0.0.6:9", "::ffff:10.0.0.6", guard.Allowed},
		{"10.0.0.6:9", "10.0.0.7", guard.Private},
		{"203.0.113.99:9", "203.0.113.99", guard.Allowed},
		{"203.0.113.99:9", "203.0.113.98", guard.OnLink},
		{"203.0.113.1:9", "203.0.113.1", guard.Own},
		{"127.0.0.1:9", "127.0.0.1", guard.Loopback},
		{"198.51.100.99:9", "10.0.0.6", guard.Allowed},
	} {
		if got := plain.CheckClient(netip.MustParseAddrPort(test.to), netip.MustParseAddr(test.verified)); got != test.want {
			t.Errorf("%s for a client at %s: %v, want %v", test.to, test.verified, got, test.want)
		}
	}
	g.Follow(machine("127.0.0.1/8"), true)
	check("alone", map[string]guard.Verdict{"127.0.0.1:9": guard.Allowed})
	g.Follow(machine("203.0.113.2/24"), false)
	check("last", map[string]guard.Verdict{"203.0.113.2:9": guard.Own, "203.0.113.1:9": guard.OnLink, "10.0.0.5:9": guard.Allowed, "198.51.100.7:9": guard.Allowed})
}
