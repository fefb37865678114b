package prober_test

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/prober"
)

// serveAt answers at both ports of each address, in the namespace of the host.
func serveAt(t *testing.T, host *kernel.Host, server binding.Server) {
	t.Helper()
	conns := make(map[netip.AddrPort]net.PacketConn)
	for _, a := range server.Addrs {
		for _, port := range server.Ports {
			at := netip.AddrPortFrom(a, port)
			conns[at] = listenAt(t, host, at)
		}
	}
	var readers sync.WaitGroup
	for at, c := range conns {
		readers.Go(func() {
			buf := make([]byte, 2048)
			for {
				n, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				if r, ok := server.Respond(buf[:n], from.(*net.UDPAddr).AddrPort(), at); ok {
					_, _ = conns[r.From].WriteTo(r.Data, net.UDPAddrFromAddrPort(r.To))
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
		readers.Wait()
	})
}

func listenAt(t *testing.T, host *kernel.Host, at netip.AddrPort) (c net.PacketConn) {
	t.Helper()
	if err := host.Do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	}); err != nil {
		t.Fatalf("%v at %v: %v", host, at, err)
	}
	return c
}

// Real kernels' NATs, and the exact one over TUN, at 40 ms RTT: named as what
// they are, all at the same time; with loss, so or unknown.
func TestKernelKinds(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skipf("REAL NATS ARE NOT TESTED: %v", err)
	}
	if testing.Short() {
		t.Skip("REAL NATS ARE NOT TESTED: it takes half a minute")
	}
	for _, loss := range []float64{0, 0.1} {
		t.Run(fmt.Sprintf("loss=%v", loss), func(t *testing.T) {
			c := kernel.Config{Delay: 10 * time.Millisecond, Loss: loss}
			for name := range wants {
				kind, _ := lab.KindNamed(name)
				c.Sites = append(c.Sites, kernel.Site{Kind: kind})
			}
			n, err := kernel.Up(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			})
			serveAt(t, n.Node(), binding.Server{
				Addrs: []netip.Addr{lab.FirstNodeAddress, lab.SecondNodeAddress}, Ports: [2]uint16{3478, 3479},
			})
			t.Run("sites", func(t *testing.T) {
				for name, want := range wants {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						host := n.Hosts(name)[0]
						r, err := prober.Run(t.Context(), prober.Config{Server: main, Listen: func() (net.PacketConn, error) {
							return listenAt(t, host, netip.AddrPortFrom(host.Addrs[0], 0)), nil
						}})
						if err != nil {
							t.Fatal(err)
						}
						if loss == 0 && r.Class != want.class || r.Class != want.class && r.Class != natprobe.ClassUnknown {
							t.Errorf("%v, want %v: %+v", r.Class, want.class, r.Behavior)
						}
					})
				}
			})
		})
	}
}
