package matrix

import (
	"context"
	"net"
	"net/netip"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
)

// noisePort is where nobody listens.
const noisePort = 9

// noise opens flows through a host's NAT until ctx ends, as others behind it
// do: each is a new socket, and so a new mapping.
func noise(ctx context.Context, h *kernel.Host, perSecond float64) {
	ticker := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
	defer ticker.Stop()
	to := netip.AddrPortFrom(lab.SecondNodeAddress, noisePort)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		_ = h.Do(func() error { // a flow less
			c, err := net.ListenUDP("udp4", nil)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.WriteToUDPAddrPort([]byte("noise"), to)
			return err
		})
	}
}
