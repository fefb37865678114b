package main

import (
	"strings"
	"testing"
)

// Who serves TURN at private addresses alone is told that clients get relays at these, and
// what names those outside; nobody else is.
func TestPrivateAddressesAndTURN(t *testing.T) {
	const users = "turn: {users: {alice: wonderland}}\n"
	for name, test := range map[string]struct {
		addrs []string
		file  string
		args  []string
		told  bool
	}{
		"private alone":        {[]string{"192.168.7.1/24"}, users, nil, true},
		"without users":        {[]string{"192.168.7.1/24"}, "log: {level: info}\n", nil, false},
		"with a name outside":  {[]string{"192.168.7.1/24"}, users, []string{"--public", "192.168.7.1=198.51.100.1"}, false},
		"with a public one":    {[]string{"192.168.7.1/24", "198.51.100.1/24"}, users, nil, false},
		"peers may be private": {[]string{"192.168.7.1/24"}, users + "relay: {allow_private: true}\n", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.sysctl("net.ipv6.conf.all.disable_ipv6=1")
			m.card(test.addrs...)
			n := m.serve(append([]string{"--config", config(t, test.file), "--relay-ports", "20000-20019"}, test.args...)...)
			n.end()
			if told := strings.Contains(n.banner, "private addresses alone") && strings.Contains(n.banner, "public names"); told != test.told {
				t.Errorf("told %v, want %v:\n%s", told, test.told, n.banner)
			}
		})
	}
}
