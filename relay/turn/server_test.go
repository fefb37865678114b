package turn

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v2"
	"go.uber.org/goleak"

	"pileus/relay/limit"
	"pileus/rtmfp/udp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testUser     = "alice"
	testPassword = "wonderland"
	testSecret   = "north"
)

var (
	loopback  = netip.MustParseAddr("127.0.0.1") // the server
	elsewhere = netip.MustParseAddr("127.0.0.2") // peers: the server's own address is refused
)

// bindingOf answers with the address alone.
func bindingOf(_ Transport, _, from netip.AddrPort, b []byte) []byte {
	m := stun.Message{Raw: b}
	if m.Decode() != nil {
		return nil
	}
	return stun.MustBuild(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}).Raw
}

// testConfig is a server on loopback with two users and a secret.
func testConfig() Config {
	return Config{
		Credentials: Credentials{
			Users:   map[string]string{testUser: testPassword, "bob": "builder"},
			Secrets: []string{testSecret, "south"},
		},
		Relays:    []netip.Addr{loopback},
		FirstPort: 40000, LastPort: 48999,
		AllowLoopback: true,
		Limits:        limit.New(limit.Config{}, nil),
		Binding:       bindingOf,
	}
}

// serve starts a server over UDP, and gives its address.
func serve(t testing.TB, cfg Config) (*Server, netip.AddrPort) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, start(t, s)
}

func start(t testing.TB, s *Server) netip.AddrPort {
	t.Helper()
	c, err := udp.Listen(netip.AddrPortFrom(s.cfg.Relays[0], 0), udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.ServePacket(c) }()
	t.Cleanup(s.Close)
	return c.LocalAddr()
}

func listenUDP(t testing.TB, at netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// eventually waits until what is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("after 5 s: not %s", what)
}

// Why a socket is served no longer is said, also when pion was the one who read it.
func TestServePacketTellsWhyItEnds(t *testing.T) {
	for _, allocates := range []bool{false, true} {
		s, err := New(testConfig())
		if err != nil {
			t.Fatal(err)
		}
		c, err := udp.Listen(netip.AddrPortFrom(loopback, 0), udp.Options{})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.ServePacket(c) }()
		if allocates {
			dial(t, c.LocalAddr(), testUser, testPassword).allocate()
		}
		s.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("allocated %t: %v", allocates, err)
		}
	}
}
