package guard_test

import (
	"net/netip"
	"testing"

	"pileus/relay/guard"
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
