package bench

import (
	"context"
	"net"

	"github.com/pion/turn/v3"
)

// ServePion is pion/turn as its examples have it: one UDP socket at address, one user, nothing around
// it. A node's TURN server is to be compared with what it is made of.
func ServePion(ctx context.Context, address, user, password string) error {
	conn, err := net.ListenPacket("udp4", address)
	if err != nil {
		return err
	}
	ip := conn.LocalAddr().(*net.UDPAddr).IP
	const realm = "bench"
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: realm,
		AuthHandler: func(name, realm string, _ net.Addr) ([]byte, bool) {
			return turn.GenerateAuthKey(user, realm, password), name == user
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: conn,
			RelayAddressGenerator: &turn.RelayAddressGeneratorPortRange{
				RelayAddress: ip, Address: ip.String(),
				MinPort: 49152, MaxPort: 65534, // 65535 overflows
			},
		}},
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return server.Close()
}
