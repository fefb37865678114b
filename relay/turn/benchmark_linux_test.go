package turn

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/turn/v3"
)

// BenchmarkRelay compares the server with bare pion/turn under the same load over loopback, one packet of
// each client in turn. cpu-ns/packet is all CPU time of the process, the load's included, which "none"
// shows: there the clients and peers send to each other.
func BenchmarkRelay(b *testing.B) {
	for _, server := range []struct {
		name  string
		serve func(testing.TB) netip.AddrPort
	}{
		{"none", nil},
		{"node", func(b testing.TB) netip.AddrPort { _, at := serve(b, testConfig()); return at }},
		{"pion", servePion},
	} {
		b.Run(server.name, func(b *testing.B) {
			up, down := openWays(b, server.serve, server.name == "pion")
			b.Run("to-peers", up.bench)
			b.Run("to-clients", down.bench)
		})
	}
}

// A way is how packets of a client and its peer go, in one direction.
type way struct {
	from, to *net.UDPConn
	at       netip.AddrPort // where they are sent
	packet   []byte
}

type ways []way

const benchmarkWays = 32

// openWays opens allocations with a channel each.
func openWays(b *testing.B, serve func(testing.TB) netip.AddrPort, bare bool) (up, down ways) {
	var server netip.AddrPort
	if serve != nil {
		server = serve(b)
	}
	data := channelData(0x4000, make([]byte, 1200))
	first := new(client)
	for range benchmarkWays {
		near, far := listenUDP(b, loopback), listenUDP(b, elsewhere)
		there, back := addrOf(far), addrOf(near)
		if serve != nil {
			c := &client{t: b, bare: bare, conn: &connected{near, server}, user: testUser, password: testPassword, realm: first.realm, nonce: first.nonce}
			there, back = server, c.allocate()
			if code := c.bind(0x4000, addrOf(far)); code != 0 {
				b.Fatal(code)
			}
			first = c
		}
		if err := near.SetDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
		up = append(up, way{near, far, there, data})
		down = append(down, way{far, near, back, data[channelHeader:]})
	}
	return up, down
}

func (w ways) bench(b *testing.B) {
	buf := make([]byte, 2048)
	begun, sent := cpu(b), 0
	for b.Loop() {
		for _, w := range w {
			if _, err := w.from.WriteToUDPAddrPort(w.packet, w.at); err != nil {
				b.Fatal(err)
			}
		}
		for _, w := range w {
			if _, _, err := w.to.ReadFromUDPAddrPort(buf); err != nil {
				b.Fatal(err)
			}
		}
		sent += len(w)
	}
	b.ReportMetric(float64(cpu(b)-begun)/float64(sent), "cpu-ns/packet")
}

// connected is a socket that sends to one address.
type connected struct {
	*net.UDPConn
	to netip.AddrPort
}

func (c *connected) Write(p []byte) (int, error) { return c.WriteToUDPAddrPort(p, c.to) }

// servePion is pion/turn as its examples have it.
func servePion(b testing.TB) netip.AddrPort {
	conn := listenUDP(b, loopback)
	s, err := turn.NewServer(turn.ServerConfig{
		Realm: "bench",
		AuthHandler: func(name, realm string, _ net.Addr) ([]byte, bool) {
			return turn.GenerateAuthKey(testUser, realm, testPassword), name == testUser
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: conn,
			RelayAddressGenerator: &turn.RelayAddressGeneratorPortRange{
				RelayAddress: loopback.AsSlice(), Address: loopback.String(), MinPort: 40000, MaxPort: 48999,
			},
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return addrOf(conn)
}
