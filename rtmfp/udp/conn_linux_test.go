package udp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const errICMP = unix.ECONNREFUSED

func setOption(level, option int) func(_, _ string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, 1) })
		return errors.Join(err, failed)
	}
}

// A socket that is willing to share its port, even on the wildcard address, must not get us as company.
func TestReusePortRefused(t *testing.T) {
	lc := net.ListenConfig{Control: setOption(unix.SOL_SOCKET, unix.SO_REUSEPORT)}
	for _, bound := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		other, err := lc.ListenPacket(context.Background(), "udp", bound)
		if err != nil {
			t.Logf("%s is left out: %v", bound, err)
			continue
		}
		defer other.Close()
		port := other.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		c, err := Listen(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), Options{})
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("beside %s with SO_REUSEPORT: %v", bound, err)
		}
		if err == nil {
			c.Close()
		}
	}
	// The contrary: two that both share do bind, so the refusals above say something.
	first, err := lc.ListenPacket(context.Background(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := lc.ListenPacket(context.Background(), "udp4", first.LocalAddr().String())
	if err != nil {
		t.Fatalf("SO_REUSEPORT does not work here: %v", err)
	}
	second.Close()
}

// With IP_RECVERR the kernel reports ICMP errors on unconnected sockets too, which it otherwise keeps
// to itself: port unreachable then stands in the way of the next call.
func TestICMPErrors(t *testing.T) {
	eachPath(t, func(t *testing.T, a netip.AddrPort, listen func(testing.TB, netip.AddrPort) *Conn) {
		c, friend, gone := listen(t, a), listen(t, a), listen(t, a)
		raw, err := c.socket.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		level, option := unix.IPPROTO_IP, unix.IP_RECVERR
		if a.Addr().Is6() {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
		}
		if err := setOption(level, option)("", "", raw); err != nil {
			t.Fatal(err)
		}
		gone.Close()
		dead := Datagram{Peer: gone.LocalAddr(), Data: []byte("anybody there?")}
		alive := Datagram{Peer: friend.LocalAddr(), Data: []byte("hello")}
		send := func(c *Conn, d Datagram, want int) {
			t.Helper()
			if n, err := c.WriteBatch([]Datagram{d}); n != want || err != nil {
				t.Errorf("WriteBatch: %d, %v; want %d", n, err, want)
			}
		}
		send(c, dead, 1)
		send(c, alive, 0) // the kernel's word on the datagram before
		send(c, alive, 1)
		send(c, dead, 1)
		send(friend, Datagram{Peer: c.LocalAddr(), Data: []byte("still here")}, 1)
		d := buffers(4, 100)
		if n, err := c.ReadBatch(d); n != 1 || err != nil || string(d[0].Data) != "still here" {
			t.Errorf("ReadBatch: %d, %v", n, err)
		}
		if s := c.Stats(); s.ReadErrors != 1 || s.WriteErrors != 1 {
			t.Errorf("stats: %+v, want one error each way", s)
		}
	})
}

// What cannot be granted must be reported, not believed: the maximum is the system's.
func TestBuffersReportWhatWasGot(t *testing.T) {
	const asked = 1 << 40 >> 10 // 1 GiB
	c, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Options{ReceiveBuffer: asked, SendBuffer: asked})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	receive, send := c.Buffers()
	for option, granted := range map[int]int{unix.SO_RCVBUF: receive, unix.SO_SNDBUF: send} {
		var size int
		if err := raw.Control(func(fd uintptr) { size, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, option) }); err != nil {
			t.Fatal(err)
		}
		if granted == 0 || granted != size/2 {
			t.Errorf("granted %d, the kernel says %d", granted, size)
		}
	}
}
