package udp

import (
	"net/netip"
	"slices"
	"testing"
)

func TestFamilies(t *testing.T) {
	sockets, err := ListenFamilies(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		defer s.Close()
		if a := s.LocalAddr(); !a.Addr().IsUnspecified() || a.Port() == 0 {
			t.Errorf("a socket at %v", a)
		}
	}
	local := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), sockets[0].LocalAddr().Port())
	if all := OwnAddrs(sockets[:1], true); !slices.Contains(all, local) {
		t.Errorf("%v is not in %v", local, all)
	}
	if all := OwnAddrs(sockets, false); slices.ContainsFunc(all, func(a netip.AddrPort) bool { return a.Addr().IsLoopback() }) {
		t.Errorf("loopback is in %v", all)
	}
}
