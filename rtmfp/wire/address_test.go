package wire_test

import (
	"net/netip"
	"testing"

	"pileus/rtmfp/wire"
)

// An IPv4-mapped address from a peer compares equal to the address it is.
func TestParseAddressUnmaps(t *testing.T) {
	a, rest, err := wire.ParseAddress(unhex(t, "82 00000000000000000000ffffc0000201 078f ee"))
	want := wire.Address{AddrPort: netip.MustParseAddrPort("192.0.2.1:1935"), Origin: wire.OriginObserved}
	if a != want || len(rest) != 1 || err != nil {
		t.Errorf("%v, %x, %v; want %v", a, rest, err, want)
	}
}

func TestAddressAppendInvalid(t *testing.T) {
	checkBytes(t, "zero Address", wire.Address{}.Append(nil), append([]byte{0x80}, make([]byte, 18)...))
	if n := (wire.Address{}).Len(); n != wire.MaxAddressLen {
		t.Errorf("Len %d, want %d", n, wire.MaxAddressLen)
	}
	zoned := wire.Address{AddrPort: netip.MustParseAddrPort("[fe80::1%eth0]:1"), Origin: 0xff}
	checkBytes(t, "zone and origin", zoned.Append(nil), unhex(t, "83 fe800000000000000000000000000001 0001"))
}

func TestParseAddressText(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:1935":          "192.0.2.1:1935",
		"192.0.2.1":               "192.0.2.1:0",
		"192.0.2.1:0":             "192.0.2.1:0",
		"[2001:db8::1]:65535":     "[2001:db8::1]:65535",
		"[::ffff:192.0.2.1]:1935": "192.0.2.1:1935",
	} {
		if ap, err := wire.ParseAddressText(in); err != nil || ap.String() != want {
			t.Errorf("%q: %v, %v; want %s", in, ap, err, want)
		}
	}
	for _, in := range []string{
		"", ":", ":1935", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:+1", "192.0.2.1:0x10", "192.0.2.1 :1", "192.0.2.1:1 ",
		"192.0.2:1", "192.0.2.01:1", "3221225985:1", "2001:db8::1", "[2001:db8::1]", "2001:db8::1:1935", "[fe80::1%eth0]:1",
		"::ffff:192.0.2.1", "[192.0.2.1]:1", "localhost:1935", "192.0.2.1:1935,192.0.2.2:1935", "192.0.2.1\x00:1",
	} {
		if ap, err := wire.ParseAddressText(in); err != wire.ErrAddressText || ap.IsValid() {
			t.Errorf("%q: %v, %v; want an error", in, ap, err)
		}
	}
}
