package relayed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v3"

	"pileus/natprobe"
)

// serveTURN has alice get relays at one address of loopback, and returns its port.
func serveTURN(t *testing.T, addr string) int {
	t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Skipf("SKIP: there is no %s here: %v", addr, err)
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "lab", LoggerFactory: quiet,
		AuthHandler: func(user, realm string, _ net.Addr) ([]byte, bool) {
			return turn.GenerateAuthKey(user, realm, "secret"), user == "alice"
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: conn, RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP("127.0.0.1"), Address: "127.0.0.1"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return conn.LocalAddr().(*net.UDPAddr).Port
}

// A name has two addresses, and the server one of them, whichever comes first.
func TestEveryAddressOfAName(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			port := serveTURN(t, addr)
			find := func(context.Context, string, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("2001:db8::99"), netip.MustParseAddr("127.0.0.9"), netip.MustParseAddr(addr)}, nil
			}
			s := try(t.Context(), Server{Host: fmt.Sprintf("twin.example:%d", port), Transport: "udp", User: "alice", Password: "secret"}, find)
			if s.Works != natprobe.Yes {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A server of IPv6 alone is asked there.
func TestIPv6(t *testing.T) {
	port := serveTURN(t, "::1")
	at := netip.AddrPortFrom(netip.IPv6Loopback(), uint16(port))
	if s := Try(t.Context(), Server{Host: at.String(), Transport: "udp", User: "alice", Password: "secret"}); s.Works != natprobe.Yes {
		t.Errorf("%+v", s)
	}
	if s := Try(t.Context(), Server{Host: at.String(), Transport: "udp", User: "alice", Password: "wrong"}); s.Works != natprobe.No || s.Text != "error 400: refused" {
		t.Errorf("with a wrong password: %+v", s) // this server's word for it
	}
}

// What a server says is told in this program's words.
func TestReason(t *testing.T) {
	now := time.Unix(1_700_000_100, 0)
	for _, test := range []struct{ user, says, want string }{
		{"alice", "Allocate error response (error 401: \x1b[2JUnauthorized)", "error 401: user or password is not the server's"},
		{"1700000000:alice", "Allocate error response (error 401: Unauthorized)", "error 401: the name expired at 2023-11-14T22:13:20Z"},
		{"1700000200:alice", "Allocate error response (error 401: Unauthorized)", "error 401: user or password is not the server's"},
		{"", "Allocate error response (error 401: Unauthorized)", "error 401: it wants a user and a password"},
		{"alice", "Allocate error response (error 486: )", "error 486: this user has all the relays that he may have"},
		{"alice", "Allocate error response (error 699: x)", "error 699: refused"},
		{"alice", "all retransmissions failed for x", "no answer"},
		{"alice", "something else\nand more", "something else"},
	} {
		if got := (Server{User: test.user}).reason(errors.New(test.says), now); got != test.want {
			t.Errorf("%s of %q: %q, want %q", test.says, test.user, got, test.want)
		}
	}
}
