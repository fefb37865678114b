package prober

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// RFC 6052 section 2.4: 192.0.2.33 behind each length of 2001:db8:122:344::.
func TestSynthesize(t *testing.T) {
	for prefix, want := range map[string]string{
		"2001:db8::/32": "2001:db8:c000:221::", "2001:db8:100::/40": "2001:db8:1c0:2:21::", "2001:db8:122::/48": "2001:db8:122:c000:2:2100::",
		"2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::", "2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100::",
		"2001:db8:122:344::/96": "2001:db8:122:344::c000:221", "64:ff9b::/96": "64:ff9b::c000:221",
	} {
		p, four := netip.MustParsePrefix(prefix), netip.MustParseAddrPort("192.0.2.33:3478")
		got := Synthesize(p, four)
		if got.Addr() != netip.MustParseAddr(want) || got.Port() != 3478 || Extract(p, got) != four {
			t.Errorf("%s: %v, want %s; back %v", prefix, got, want, Extract(p, got))
		}
	}
	other := netip.MustParseAddrPort("[2001:db8:ffff::1]:1")
	if p := netip.MustParsePrefix("64:ff9b::/96"); Extract(p, other) != other || Synthesize(p, other) != other || Synthesize(netip.Prefix{}, netip.MustParseAddrPort("192.0.2.1:1")).Addr().Is6() {
		t.Error("what is no such address is changed")
	}
}

// What is synthesized is found again, and so is the prefix by the addresses of
// ipv4only.arpa.
func TestPrefixIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.SampledFrom(prefixLengths).Draw(t, "bits")
		b := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "prefix"))
		b[0], b[8] = 0x20, 0
		p := netip.PrefixFrom(netip.AddrFrom16(b), bits).Masked()
		four := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
		a := netip.AddrPortFrom(four, 9)
		if got := Extract(p, Synthesize(p, a)); got != a {
			t.Fatalf("%v behind %v comes back as %v", a, p, got)
		}
		// A shorter prefix whose own bytes look like the address is found before it.
		if found := nat64([]netip.Addr{Synthesize(p, netip.AddrPortFrom(wellKnown[0], 1)).Addr()}); found != p && found.Bits() <= bits {
			t.Fatalf("%v, want %v", found, p)
		}
	})
}

// advertisement has options behind the fields of a Router Advertisement.
func advertisement(options ...byte) []byte {
	return append([]byte{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}, options...)
}

func TestPref64(t *testing.T) {
	pref64 := func(fields uint16, tail ...byte) []byte {
		return append([]byte{38, 2, byte(fields >> 8), byte(fields), 0x20, 0x01, 0x0d, 0xb8, 0, 0x64, 0, 0, 0, 0, 0, 0}, tail...)
	}
	mtu := []byte{5, 1, 0, 0, 0, 0, 5, 220}
	for name, test := range map[string]struct {
		message []byte
		want    string
	}{
		"of 96 bits":        {advertisement(pref64(225 << 3)...), "2001:db8:64::/96"},
		"of 64 bits":        {advertisement(pref64(225<<3 | 1)...), "2001:db8:64::/64"},
		"of 32 bits":        {advertisement(pref64(225<<3 | 5)...), "2001:db8::/32"},
		"behind another":    {advertisement(append(mtu, pref64(8)...)...), "2001:db8:64::/96"},
		"withdrawn":         {advertisement(pref64(0)...), ""},
		"of another length": {advertisement(pref64(225<<3 | 6)...), ""},
		"cut":               {advertisement(pref64(225 << 3)[:12]...), ""},
		"of no length":      {advertisement(38, 0, 0, 8), ""},
		"without options":   {advertisement(), ""},
		"short":             {[]byte{134, 0, 0}, ""},
		"another message":   {append([]byte{133}, advertisement(pref64(8)...)[1:]...), ""},
	} {
		got := parsePref64(test.message)
		if (test.want == "") != !got.IsValid() || test.want != "" && got.String() != test.want {
			t.Errorf("%s: %v, want %s", name, got, test.want)
		}
	}
}

func FuzzPref64(f *testing.F) {
	f.Add(advertisement(38, 2, 7, 8, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p := parsePref64(b); p.IsValid() && (!p.Addr().Is6() || p != p.Masked()) {
			t.Errorf("%v", p)
		}
	})
}

// memory is a socket that hears what it sends.
type memory struct {
	net.PacketConn
	from, to net.Addr
}

func (m *memory) WriteTo(b []byte, to net.Addr) (int, error) { m.to = to; return len(b), nil }
func (m *memory) ReadFrom([]byte) (int, net.Addr, error)     { return 0, m.from, nil }
func (m *memory) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: net.ParseIP("2001:db8::2"), Port: 4711}
}

// Behind a NAT64 a socket speaks to IPv4 addresses.
func TestThrough(t *testing.T) {
	p := netip.MustParsePrefix("64:ff9b::/96")
	under := &memory{from: net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[64:ff9b::c000:201]:9"))}
	conn, err := Through(p, func(uint16) (net.PacketConn, error) { return under, nil })(0)
	if err != nil {
		t.Fatal(err)
	}
	_, from, _ := conn.ReadFrom(nil)
	if _, err := conn.WriteTo(nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:7"))); err != nil {
		t.Fatal(err)
	}
	if from.String() != "192.0.2.1:9" || under.to.String() != "[64:ff9b::c000:201]:7" || conn.LocalAddr().String() != "192.0.0.8:4711" {
		t.Errorf("from %v, to %v, at %v", from, under.to, conn.LocalAddr())
	}
	if _, err := Through(p, func(uint16) (net.PacketConn, error) { return nil, errors.New("no") })(0); err == nil {
		t.Error("no socket is one")
	}
	if found := NAT64(canceled(t), func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("64:ff9b::c000:aa")}, nil
	}); found != p {
		t.Errorf("found %v", found)
	}
}

// canceled asks no router.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
