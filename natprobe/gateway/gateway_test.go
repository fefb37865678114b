package gateway

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pileus/natprobe/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var outside = netip.MustParseAddr("100.64.0.7")

// udpServer answers datagrams on loopback until the test ends. What it is asked
// goes to asked, which has room enough.
func udpServer(t *testing.T, at string, answer func(request []byte) [][]byte) (addr netip.AddrPort, asked chan []byte) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Skipf("SKIP: no router can be played at %s: %v", at, err)
	}
	asked = make(chan []byte, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			request := append([]byte(nil), buf[:n]...)
			select {
			case asked <- request:
			default:
			}
			for _, b := range answer(request) {
				_, _ = conn.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), asked
}

func nobody([]byte) [][]byte { return nil }

// soon gives up early: what is silent is to be silent for a moment only.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// Nothing is there: each says so, and none takes longer than it may.
func TestNobody(t *testing.T) {
	t.Parallel()
	router, _ := udpServer(t, "127.0.0.1:0", nobody)
	group, _ := udpServer(t, "127.0.0.1:0", nobody)
	for _, n := range []*network{
		{},
		{router: router, hosts: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, group: group},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		began := time.Now()
		all := n.ask(ctx)
		cancel()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		for _, g := range all {
			if g.External.IsValid() || !strings.HasPrefix(g.Text, report.NoAnswer) && g.Text != string(errNoRouter) {
				t.Errorf("%+v", g)
			}
		}
	}
}

// Only a router that can be asked is, and only on the way's own link.
func TestWay(t *testing.T) {
	for router, want := range map[string]string{
		"192.168.1.1": "192.168.1.1:5351", "0.0.0.0": "invalid AddrPort", "127.0.0.1": "invalid AddrPort", "fe80::1": "invalid AddrPort",
	} {
		n := Way{Router: netip.MustParseAddr(router)}.network()
		if n.group != ssdpGroup || n.router.String() != want {
			t.Errorf("%s: %+v", router, n)
		}
	}
	if n := (Way{Interface: "nosuch0"}).network(); len(n.hosts) > 0 || n.router.IsValid() {
		t.Errorf("%+v", n)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	if w := WayTo(loopback, loopback); w.Router.IsValid() {
		t.Errorf("to this host itself: %+v", w)
	}
}
