package udp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// families are the loopback addresses to test on; the machine may lack IPv6.
func families(t testing.TB) map[string]netip.AddrPort {
	t.Helper()
	f := map[string]netip.AddrPort{"IPv4": netip.MustParseAddrPort("127.0.0.1:0")}
	v6 := netip.MustParseAddrPort("[::1]:0")
	if c, err := Listen(v6, Options{}); err == nil {
		c.Close()
		f["IPv6"] = v6
	} else {
		t.Logf("IPv6 is left out: %v", err)
	}
	return f
}

func listen(t testing.TB, a netip.AddrPort) *Conn {
	t.Helper()
	c, err := Listen(a, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// useGeneric puts the path of the other systems in place of this one's.
func useGeneric(c *Conn) *Conn {
	c.batch = newGeneric(c.socket, c.local.Addr().Is6(), c.counts)
	return c
}

// eachPath runs f for each family through the system's own path and through the generic one.
func eachPath(t *testing.T, f func(t *testing.T, a netip.AddrPort, listen func(testing.TB, netip.AddrPort) *Conn)) {
	for family, a := range families(t) {
		t.Run(family+"/own", func(t *testing.T) { f(t, a, listen) })
		t.Run(family+"/generic", func(t *testing.T) {
			f(t, a, func(t testing.TB, a netip.AddrPort) *Conn { return useGeneric(listen(t, a)) })
		})
	}
}

func buffers(n, size int) []Datagram {
	d := make([]Datagram, n)
	for i := range d {
		d[i].Data = make([]byte, 0, size)
	}
	return d
}

// collect reads until want datagrams have come, and copies them.
func collect(t testing.TB, c *Conn, want, batch int) []Datagram {
	t.Helper()
	timer := time.AfterFunc(5*time.Second, func() { c.Close() })
	defer timer.Stop()
	var got []Datagram
	d := buffers(batch, 2048)
	for len(got) < want {
		n, err := c.ReadBatch(d)
		if err != nil {
			t.Fatalf("after %d of %d datagrams: %v", len(got), want, err)
		}
		for _, x := range d[:n] {
			x.Data = bytes.Clone(x.Data)
			got = append(got, x)
		}
	}
	return got
}

func TestRoundTrip(t *testing.T) {
	eachPath(t, func(t *testing.T, a netip.AddrPort, listen func(testing.TB, netip.AddrPort) *Conn) {
		from, to := listen(t, a), listen(t, a)
		for _, batch := range []int{1, 8, 64, maxBatch + 44} {
			var sent []Datagram
			for i := range batch {
				sent = append(sent, Datagram{
					Peer: to.LocalAddr(),
					TOS:  uint8(i % 4), // every ECN codepoint
					Data: fmt.Appendf(nil, "datagram %d of %d", i, batch),
				})
			}
			if n, err := from.WriteBatch(sent); n != batch || err != nil {
				t.Fatalf("WriteBatch of %d: %d, %v", batch, n, err)
			}
			got := collect(t, to, batch, batch)
			for i, d := range got {
				if d.Peer != from.LocalAddr() || d.TOS != sent[i].TOS || !bytes.Equal(d.Data, sent[i].Data) {
					t.Errorf("batch of %d: datagram %d came as %q TOS %d from %s", batch, i, d.Data, d.TOS, d.Peer)
				}
			}
		}
	})
}

func TestCloseUnblocksRead(t *testing.T) {
	eachPath(t, func(t *testing.T, a netip.AddrPort, listen func(testing.TB, netip.AddrPort) *Conn) {
		c := listen(t, a)
		time.AfterFunc(20*time.Millisecond, func() { c.Close() })
		if n, err := c.ReadBatch(buffers(4, 100)); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadBatch of a closed Conn: %d, %v", n, err)
		}
		d := []Datagram{{Peer: c.LocalAddr(), Data: []byte("late")}}
		if n, err := c.WriteBatch(d); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteBatch of a closed Conn: %d, %v", n, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestPortInUse(t *testing.T) {
	for family, a := range families(t) {
		t.Run(family, func(t *testing.T) {
			taken := listen(t, a)
			if _, err := Listen(taken.LocalAddr(), Options{}); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("second Listen on %s: %v", taken.LocalAddr(), err)
			}
		})
	}
}
