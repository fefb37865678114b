package introducer

import (
	"net/netip"
	"testing"
)

// What a node saw of a peer in its own network tells nothing of the way from there to others.
func TestApart(t *testing.T) {
	for _, test := range []struct {
		at, other string
		want      bool
	}{
		{"192.168.1.20", "203.0.113.99", true},
		{"fd00::20", "2001:db8::99", true},
		{"100.64.0.1", "203.0.113.99", true},
		{"192.168.1.20", "192.168.1.21", false},
		{"192.168.1.20", "10.0.0.1", false},
		{"203.0.113.99", "192.168.1.20", false},
		{"203.0.113.99", "203.0.113.98", false},
		{"127.0.0.1", "127.0.0.1", false},
	} {
		if got := apart(netip.MustParseAddr(test.at), netip.MustParseAddr(test.other)); got != test.want {
			t.Errorf("%s for %s: %t", test.at, test.other, got)
		}
	}
}
