package gateway

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// closedPort is one of loopback that nobody has.
func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// The library knows one port: an address of loopback of its own is the router.
// Elsewhere than on Linux there is no such address, and udpServer skips.
func TestNATPMP(t *testing.T) {
	for _, c := range []struct {
		name, at string
		answer   []byte
		external netip.Addr
		says     string
	}{
		{"tells", "127.53.51.1:5351", []byte{0, 128, 0, 0, 0, 0, 0, 9, 100, 64, 0, 7}, outside, ""},
		{"refuses", "127.53.51.2:5351", []byte{0, 128, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0}, netip.Addr{}, "it refuses: Not Authorized/Refused"},
		{"has no line", "127.53.51.9:5351", []byte{0, 128, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0}, netip.Addr{}, "it has no outside address"},
		{"speaks PCP", "127.53.51.3:5351", []byte{2, 128, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0}, netip.Addr{}, "its answer was not understood"},
		{"of another opcode", "127.53.51.4:5351", []byte{0, 129, 0, 0, 0, 0, 0, 9, 203, 0, 113, 66}, netip.Addr{}, "its answer was not understood"},
		{"too short", "127.53.51.5:5351", []byte{0, 128}, netip.Addr{}, "its answer was not understood"},
		{"too long", "127.53.51.6:5351", make([]byte, 1400), netip.Addr{}, "its answer was not understood"},
		{"nothing", "127.53.51.7:5351", nil, netip.Addr{}, "no answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			router, _ := udpServer(t, c.at, func(r []byte) [][]byte {
				if len(r) != 2 || r[0] != 0 || r[1] != 0 || c.answer == nil {
					return nil
				}
				return [][]byte{c.answer}
			})
			got, err := (&network{router: router}).pmp(soon(t))
			if got.external != c.external || (err == nil) != (c.says == "") || err != nil && !strings.HasPrefix(plain(err), c.says) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if _, err := (&network{router: closedPort(t)}).pmp(ctx); err == nil || time.Since(began) > time.Second {
		t.Errorf("interrupted before: %v", err)
	}
}

// All that is spoken at one router, at once.
func TestRouterOfAll(t *testing.T) {
	u := newUPnP(t, "127.53.51.8", nil)
	router, _ := udpServer(t, "127.53.51.8:5351", func(r []byte) [][]byte {
		if r[0] == 0 {
			return [][]byte{{0, 128, 0, 0, 0, 0, 0, 9, 100, 64, 0, 7}}
		}
		return pcpServer(r)
	})
	n := u.network()
	n.router = router
	all := n.ask(t.Context())
	if len(all) != 3 {
		t.Fatalf("%+v", all)
	}
	for _, g := range all {
		if g.External != outside || g.At != "127.53.51.8" || g.Took <= 0 || g.Text != "" {
			t.Errorf("%+v", g)
		}
	}
}
