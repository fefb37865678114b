package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pollPair(t *testing.T) (*Poller, *Conn, *Conn) {
	t.Helper()
	var conns []*Conn
	for range 2 {
		c, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	p, err := NewPoller(conns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, conns[0], conns[1]
}

func TestPollerTellsWhichSocketIsReady(t *testing.T) {
	p, a, b := pollPair(t)
	if n, err := b.ReadReady(make([]Datagram, 1)); n != 0 || err != nil {
		t.Fatalf("read %d from an empty socket: %v", n, err)
	}
	// Both directions work on a socket that has left the runtime's poller, TOS too.
	if n, err := a.WriteBatch([]Datagram{{Peer: b.LocalAddr(), TOS: 2, Data: []byte("one")}, {Peer: b.LocalAddr(), Data: []byte("two")}}); n != 2 || err != nil {
		t.Fatalf("wrote %d: %v", n, err)
	}
	var got []string
	in := []Datagram{{Data: make([]byte, 64)}, {Data: make([]byte, 64)}, {Data: make([]byte, 64)}}
	for len(got) < 2 {
		if err := p.Wait(time.Second, func(i int) {
			if i != 1 {
				t.Errorf("socket %d is ready", i)
			}
			n, err := b.ReadReady(in)
			if err != nil {
				t.Error(err)
			}
			for _, d := range in[:n] {
				if d.Peer != a.LocalAddr() {
					t.Errorf("from %v", d.Peer)
				}
				got = append(got, string(d.Data)+string('0'+rune(d.TOS)))
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if got[0] != "one2" || got[1] != "two0" {
		t.Errorf("got %q", got)
	}
}

func TestPollerWakes(t *testing.T) {
	p, _, _ := pollPair(t)
	go func() {
		time.Sleep(10 * time.Millisecond)
		p.Wake()
	}()
	began := time.Now()
	if err := p.Wait(time.Minute, func(int) { t.Error("nothing is ready") }); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("woken after %v", d)
	}
	began = time.Now()
	for n := 0; time.Since(began) < 5*time.Millisecond; n++ {
		if n == 10 { // a signal of the runtime's may end one or another
			t.Fatalf("woken %d times in %v", n, time.Since(began))
		}
		if err := p.Wait(5*time.Millisecond, func(int) {}); err != nil {
			t.Fatal(err)
		}
	}
	p.Close()
	p.Close()
	p.Wake() // after the end: nothing
}

func TestPolledSocketCloses(t *testing.T) {
	_, a, b := pollPair(t)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := a.WriteBatch([]Datagram{{Peer: b.LocalAddr(), Data: []byte("x")}}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	// Nobody answers there any more: ICMP is counted, not returned.
	if _, err := b.WriteBatch([]Datagram{{Peer: a.LocalAddr(), Data: []byte("x")}}); err != nil {
		t.Error(err)
	}
	if n, err := b.ReadReady(make([]Datagram, 1)); n != 0 || err != nil {
		t.Errorf("read %d: %v", n, err)
	}
}

func TestPaceGathersOnlyWhenBusy(t *testing.T) {
	var p pace
	now := time.Unix(1_800_000_000, 0)
	run := func(perSecond int) {
		for range 100 { // 100 ms
			now = now.Add(time.Millisecond)
			p.arrived(now, perSecond/1000)
		}
	}
	run(1000)
	if p.gather() != 0 {
		t.Error("gathers at 1,000 a second")
	}
	run(50_000)
	if p.gather() != gatherFor {
		t.Error("does not gather at 50,000 a second")
	}
	run(0)
	if p.gather() != 0 {
		t.Error("goes on gathering")
	}
}

// A twin sends from the address of its socket, which may have left the runtime's
// poller and even be closed.
func TestTwin(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:0")
	a, b := listen(t, local), listen(t, local)
	twin, err := a.Twin()
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPoller([]*Conn{a})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	send := func(text string) {
		t.Helper()
		if n, err := twin.WriteBatch([]Datagram{{Peer: b.LocalAddr(), TOS: 2, Data: []byte(text)}}); n != 1 || err != nil {
			t.Fatalf("wrote %d: %v", n, err)
		}
		in := []Datagram{{Data: make([]byte, 64)}}
		if _, err := b.ReadBatch(in); err != nil || in[0].Peer != a.LocalAddr() || string(in[0].Data) != text || in[0].TOS != 2 {
			t.Errorf("got %v: %v", in[0], err)
		}
	}
	send("open")
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	send("closed")
	if err := twin.Close(); err != nil {
		t.Error(err)
	}
	if _, err := twin.WriteBatch([]Datagram{{Peer: b.LocalAddr(), Data: []byte("x")}}); err == nil {
		t.Error("wrote after Close")
	}
}

// A socket whose send buffer stays full holds up its goroutine once, and then not again for a while.
func TestFullSendBufferHoldsUpOnce(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	for room := true; room; { // until nothing more goes in
		room = unix.Send(pair[0], make([]byte, 1000), 0) == nil
	}
	s := &rawSocket{fd: pair[0]}
	send := func(fd uintptr) bool {
		return !errors.Is(unix.Send(int(fd), make([]byte, 1000), 0), unix.EAGAIN)
	}
	began := time.Now()
	for range 20 {
		if err := s.Write(send); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 10*writePatience {
		t.Errorf("20 writes took %v", took)
	}
	// There is room again: nothing is held against it.
	if _, err := unix.Read(pair[1], make([]byte, 2000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(send); err != nil {
		t.Error(err)
	}
}
