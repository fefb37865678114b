package udp

import (
	"bytes"
	"net/netip"
	"testing"
	"unsafe"
)

func TestSockaddr(t *testing.T) {
	for text, want := range map[string][]byte{
		// Behind the family, in the machine's byte order: port and address in the network's.
		"192.0.2.7:1935":        {0x07, 0x8f, 192, 0, 2, 7},
		"[2001:db8::7]:1935":    {0x07, 0x8f, 0, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7},
		"[fe80::1%lo]:256":      {1, 0, 0, 0, 0, 0, 0xfe, 0x80},
		"[fe80::1%424242]:1935": {0x07, 0x8f},
	} {
		var s sockaddr
		var out, in zones
		a := netip.MustParseAddrPort(text)
		n := s.set(a, &out)
		raw := unsafe.Slice((*byte)(unsafe.Pointer(&s)), n)
		if !bytes.HasPrefix(raw[2:], want) {
			t.Errorf("%s is % x", text, raw)
		}
		if back := s.addrPort(&in); back != a {
			t.Errorf("%s came back as %s", text, back)
		}
	}
	var s sockaddr
	var z zones
	if n := s.set(netip.AddrPort{}, &z); n != 0 {
		t.Errorf("no address has %d bytes", n)
	}
	if a := s.addrPort(&z); a.IsValid() {
		t.Errorf("nothing is %s", a)
	}
	// It takes no place in the address if nobody has the interface.
	s.set(netip.MustParseAddrPort("[fe80::1%nobody]:1"), &z)
	if s.Scope_id != 0 {
		t.Errorf("an unknown zone is interface %d", s.Scope_id)
	}
}

func TestZonesAreBounded(t *testing.T) {
	var z zones
	for i := range uint32(3 * maxZones) {
		z.name(1_000_000 + i)
	}
	if len(z.known) != maxZones {
		t.Errorf("%d are known", len(z.known))
	}
}
