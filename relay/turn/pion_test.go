package turn

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/turn/v3"
)

// pionClient is the client of pion/turn, logged in nowhere yet.
func pionClient(t testing.TB, server net.Addr, conn net.PacketConn, user, password string) *turn.Client {
	t.Helper()
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server.String(), TURNServerAddr: server.String(),
		Conn: conn, Username: user, Password: password, LoggerFactory: quiet{new(atomic.Uint64)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestPionClient(t *testing.T) {
	s, at := serve(t, testConfig())
	c := pionClient(t, net.UDPAddrFromAddrPort(at), listenUDP(t, loopback), testUser, testPassword)
	mapped, err := c.SendBindingRequest()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("mapped %v", mapped)
	relay, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	peer := listenUDP(t, elsewhere)
	echo(peer)
	deadline := time.Now().Add(5 * time.Second)
	if err := relay.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	for i := range 100 {
		if _, err := relay.WriteTo([]byte{byte(i)}, peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		n, from, err := relay.ReadFrom(buf)
		if err != nil || n != 1 || buf[0] != byte(i) || from.String() != peer.LocalAddr().String() {
			t.Fatalf("packet %d: %x from %v, %v", i, buf[:n], from, err)
		}
	}
	if list := s.Allocations(time.Now()); len(list) != 1 || list[0].User != testUser || list[0].Relay.String() != relay.LocalAddr().String() {
		t.Errorf("allocations: %+v", list)
	}
	if err := relay.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "closed", func() bool { return len(s.Allocations(time.Now())) == 0 })
	if st := s.Stats(); st.PionSaid != 0 || st.Refused[401] != 1 {
		t.Errorf("%+v", st)
	}
}

// echo sends back what comes to peer.
func echo(peer *net.UDPConn) {
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := peer.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = peer.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
}
