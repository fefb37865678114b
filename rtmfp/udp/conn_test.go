package udp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
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
					TOS:  []uint8{0, 1, 2, 3, 0xb9}[i%5], // every ECN codepoint, and one with a DSCP
					Data: fmt.Appendf(nil, "datagram %d of %d", i, batch),
				})
			}
			if n, err := from.WriteBatch(sent); n != batch || err != nil {
				t.Fatalf("WriteBatch of %d: %d, %v", batch, n, err)
			}
			got := collect(t, to, batch, batch)
			for i, d := range got {
				if d.Peer != from.LocalAddr() || d.TOS != received(sent[i].TOS) || !bytes.Equal(d.Data, sent[i].Data) {
					t.Errorf("batch of %d: datagram %d came as %q TOS %d from %s", batch, i, d.Data, d.TOS, d.Peer)
				}
			}
		}
	})
}

// received is how a TOS arrives on this system.
func received(tos uint8) uint8 {
	switch runtime.GOOS {
	case "linux", "darwin":
		return tos
	}
	return 0
}

// A datagram longer than its slot is dropped alone, and no two slots end up with one array.
func TestOversize(t *testing.T) {
	eachPath(t, func(t *testing.T, a netip.AddrPort, listen func(testing.TB, netip.AddrPort) *Conn) {
		from, to := listen(t, a), listen(t, a)
		const room = 100
		var sent []Datagram
		for i := range 33 {
			size := room
			if i%3 == 1 {
				size = room + 1
			}
			sent = append(sent, Datagram{Peer: to.LocalAddr(), Data: bytes.Repeat([]byte{byte(i)}, size)})
		}
		if n, err := from.WriteBatch(sent); n != len(sent) || err != nil {
			t.Fatalf("WriteBatch: %d, %v", n, err)
		}
		d := buffers(len(sent), room)
		var got [][]byte
		for len(got) < 22 {
			n, err := to.ReadBatch(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range d[:n] {
				got = append(got, bytes.Clone(x.Data))
			}
			arrays := map[*byte]bool{}
			for _, x := range d {
				arrays[&x.Data[:1][0]] = true
			}
			if len(arrays) != len(d) {
				t.Fatalf("%d slots share %d arrays", len(d), len(arrays))
			}
		}
		for _, data := range got {
			if len(data) != room || data[0]%3 == 1 || !bytes.Equal(data, bytes.Repeat(data[:1], room)) {
				t.Errorf("came: %x", data)
			}
		}
		if s := to.Stats(); runtime.GOOS != "windows" && s.Oversize != 11 {
			t.Errorf("stats: %+v, want 11 oversize", s)
		}
	})
}

// One destination that is refused must not keep the others from their datagrams.
func TestWriteSkipsRefused(t *testing.T) {
	eachPath(t, func(t *testing.T, a netip.AddrPort, listen func(testing.TB, netip.AddrPort) *Conn) {
		from, to := listen(t, a), listen(t, a)
		other := netip.MustParseAddrPort("[2001:db8::1]:9")
		if a.Addr().Is6() {
			other = netip.MustParseAddrPort("192.0.2.1:9")
		}
		good := Datagram{Peer: to.LocalAddr(), TOS: 2, Data: []byte("good")}
		sent := []Datagram{
			{Peer: other, Data: []byte("other family")},
			good,
			{Data: []byte("no address")},
			good,
			{Peer: to.LocalAddr(), Data: make([]byte, 70_000)},
			{Peer: netip.AddrPortFrom(to.LocalAddr().Addr(), 0), TOS: 1, Data: []byte("port 0")},
			good,
		}
		n, err := from.WriteBatch(sent)
		if n != 3 || err != nil {
			t.Errorf("WriteBatch: %d, %v; want 3", n, err)
		}
		if s := from.Stats(); s.WriteErrors != 4 {
			t.Errorf("stats: %+v, want 4 write errors", s)
		}
		for _, d := range collect(t, to, 3, 8) {
			if string(d.Data) != "good" {
				t.Errorf("came: %q", d.Data)
			}
		}
	})
}

// stub fails as often as it is told, then gives a datagram.
type stub struct {
	err   error
	times int
}

func (s *stub) read([]Datagram) (int, error) {
	if s.times--; s.times >= 0 {
		return 0, s.err
	}
	return 1, nil
}

func (s *stub) write(d []Datagram) (int, error) { return len(d), nil }

func TestReadErrors(t *testing.T) {
	read := func(err error, times int) (int, error) {
		c := &Conn{batch: &stub{err: err, times: times}, counts: new(counters)}
		n, err := c.ReadBatch(make([]Datagram, 1))
		if got := c.Stats().ReadErrors; got != uint64(min(times, 1000)) && err == nil {
			t.Errorf("%d errors counted of %d", got, times)
		}
		return n, err
	}
	if n, err := read(errICMP, 1000); n != 1 || err != nil {
		t.Errorf("after 1000 ICMP errors: %d, %v", n, err)
	}
	if n, err := read(syscall.ENOMEM, maxReadErrors-1); n != 1 || err != nil {
		t.Errorf("after a shortage: %d, %v", n, err)
	}
	if _, err := read(syscall.ENOMEM, maxReadErrors); !errors.Is(err, syscall.ENOMEM) {
		t.Errorf("a broken socket gives %v", err)
	}
}

func TestBuffers(t *testing.T) {
	c, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Options{ReceiveBuffer: 128 << 10, SendBuffer: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, s := c.Buffers(); r != 128<<10 || s != 64<<10 {
		t.Errorf("granted %d and %d", r, s)
	}
}

func TestListenWithoutAddress(t *testing.T) {
	if c, err := Listen(netip.AddrPortFrom(netip.Addr{}, 1935), Options{}); err == nil {
		c.Close()
		t.Error("an address was made up")
	}
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
