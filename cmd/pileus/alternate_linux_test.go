package main

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pileus/introducer"
)

// A second address that the machine has is found: one, of the same family and reach, on the interface of the default
// route; not if there is no such, if one is named, or if nobody wants it.
func TestServeFindsAnAlternate(t *testing.T) {
	for name, test := range map[string]struct {
		addrs, more []string // more: ip commands
		args        []string
		config      string
		want        string // "": none
	}{
		"a second":                   {addrs: []string{"198.51.100.1/24", "198.51.100.7/24"}, want: "198.51.100.7"},
		"of three one":               {addrs: []string{"198.51.100.1/24", "198.51.100.7/24", "198.51.100.8/24"}, want: "198.51.100.7"},
		"none":                       {addrs: []string{"198.51.100.1/24"}},
		"a private one":              {addrs: []string{"198.51.100.1/24", "10.0.0.7/24"}},
		"of another family":          {addrs: []string{"198.51.100.1/24", "2001:db8:1::7/64"}},
		"of both families":           {addrs: []string{"198.51.100.1/24", "198.51.100.7/24", "2001:db8:1::1/64", "2001:db8:1::7/64"}, more: []string{"-6 route add default dev eth0"}, want: "198.51.100.7, 2001:db8:1::"},
		"on another interface":       {addrs: []string{"198.51.100.1/24"}, more: []string{"addr add 198.51.100.7/24 dev eth1"}},
		"named":                      {addrs: []string{"198.51.100.1/24", "198.51.100.7/24"}, args: []string{"--alternate", "198.51.100.7"}},
		"one address is listened at": {addrs: []string{"198.51.100.1/24", "198.51.100.7/24"}, args: []string{"--listen", "198.51.100.1:1935"}},
		"not wanted":                 {addrs: []string{"198.51.100.1/24", "198.51.100.7/24"}, config: "probe: {find_alternate: false}"},
		"no probes":                  {addrs: []string{"198.51.100.1/24", "198.51.100.7/24"}, args: []string{"--probe-ports", ""}},
		"behind a NAT, it alone":     {addrs: []string{"10.0.0.1/24", "10.0.0.7/24"}, args: []string{"--public", "10.0.0.1=198.51.100.1"}},
		"behind a NAT, both":         {addrs: []string{"10.0.0.1/24", "10.0.0.7/24"}, args: []string{"--public", "10.0.0.1=198.51.100.1", "--public", "10.0.0.7=198.51.100.7"}, want: "10.0.0.7"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.card(test.addrs...)
			m.ip("route add default dev eth0")
			for _, c := range test.more {
				m.ip(c)
			}
			p := m.serve(append([]string{"--relay-ports", "", "--config", config(t, test.config+"\n")}, test.args...)...)
			found := strings.Contains(p.banner, "is tried as a second address")
			if found != (test.want != "") || !strings.Contains(p.banner, "; "+test.want) {
				t.Errorf("want %q:\n%s", test.want, p.banner)
			}
		})
	}
}

// What clients have shown is believed: behaviour discovery names the address then, and not before; when it goes all
// begins anew.
func TestTrustedAlternateIsNamed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: network namespaces need root")
	}
	if out, err := exec.Command("ip", "-V").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: iproute2: %v %s", err, out)
	}
	m := newMachine(t)
	m.card("198.51.100.1/24", "198.51.100.7/24")
	m.ip("route add default dev eth0")
	m.within(func() {
		cfg, err := load(config(t, "relay: {ports: off, extra: []}\nprobe: {ports: 1936-1937}\nadmin: {listen: off}\n"))
		if err != nil {
			t.Error(err)
			return
		}
		n, err := build(cfg, discardLogger(), time.Now)
		if err != nil {
			t.Error(err)
			return
		}
		if err := n.open(); err != nil {
			t.Error(err)
			return
		}
		defer n.sockets.close()
		other := func() netip.Addr {
			n.stun.responder.follow(n.sockets)
			server := (*n.stun.responder.servers.Load())[netip.MustParseAddr("198.51.100.1")]
			if len(server.Addrs) < 2 {
				return netip.Addr{}
			}
			return server.Addrs[1]
		}
		second := netip.MustParseAddr("198.51.100.7")
		if got := other(); got.IsValid() {
			t.Errorf("named before anybody has answered there: %v", got)
		}
		n.judged(second, introducer.Trusted)
		if got := other(); got != second {
			t.Errorf("trusted, and %v is named", got)
		}
		n.trusted.forget(second)
		if got := other(); got.IsValid() {
			t.Errorf("it went, and %v is named", got)
		}
	})
}
