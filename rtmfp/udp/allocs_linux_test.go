package udp

import (
	"net/netip"
	"testing"
	"time"
)

// Neither a lone datagram nor a batch costs an allocation, blocking or in a Poller.
func TestNoAllocations(t *testing.T) {
	for family, a := range families(t) {
		from, to := listen(t, a), listen(t, a)
		polledFrom, polledTo := listen(t, a), listen(t, a)
		p, err := NewPoller([]*Conn{polledFrom, polledTo})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		in := buffers(64, 2048)
		to.batch.(*mmsg).in.grow(len(in)) // once, with the first burst
		polledTo.batch.(*mmsg).in.grow(len(in))
		for _, size := range []int{1, 64} {
			write := func(from, to *Conn) {
				out := buffers(size, 100)
				for i := range out {
					out[i] = Datagram{Peer: to.LocalAddr(), TOS: uint8(i / 4 % 3), Data: out[i].Data[:100]}
				}
				if n := testing.AllocsPerRun(3, func() {
					if n, err := from.WriteBatch(out); n != size || err != nil {
						t.Error(n, err)
					}
				}); n != 0 {
					t.Errorf("%s: %v allocations for %d datagrams written", family, n, size)
				}
			}
			// AllocsPerRun calls once more than it is told to.
			write(from, to)
			read := func() { // of a datagram or as many as there are
				if _, err := to.ReadBatch(in[:size]); err != nil {
					t.Error(err)
				}
			}
			if n := testing.AllocsPerRun(3, read); n != 0 {
				t.Errorf("%s: %v allocations for %d datagrams read", family, n, size)
			}
			discard(t, to, in)
			write(polledFrom, polledTo)
			got := 0
			ready := func(int) {
				n, err := polledTo.ReadReady(in[:size])
				if got += n; err != nil {
					t.Error(err)
				}
			}
			poll := func() {
				if err := p.Wait(0, ready); err != nil {
					t.Error(err)
				}
			}
			if n := testing.AllocsPerRun(3, poll); n != 0 || got == 0 {
				t.Errorf("%s: %v allocations for %d datagrams polled, of %d", family, n, got, size)
			}
			for before := -1; before != got; {
				before = got
				poll()
			}
		}
	}
}

// Nor does it cost one on its way through an inlet, put together by the kernel or not.
func TestNoAllocationsInAnInlet(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:0")
	from, to := listen(t, local), listen(t, local)
	in, err := NewInlet([]Socket{to}, 2048)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	out := buffers(64, 1000)
	for i := range out {
		out[i] = Datagram{Peer: to.LocalAddr(), TOS: 2, Data: out[i].Data[:1000]}
	}
	got := 0
	take := func(_ int, d []Datagram) { got += len(d) }
	cross := func() {
		if n, err := from.WriteBatch(out); n != len(out) || err != nil {
			t.Error(n, err)
		}
		for want, end := got+len(out), time.Now().Add(time.Second); got < want && time.Now().Before(end); {
			if err := in.Wait(100*time.Millisecond, take); err != nil {
				t.Error(err)
			}
		}
	}
	for _, merged := range []bool{false, true} {
		m := to.batch.(*mmsg)
		m.merging = merging{on: merged, rest: 1 << 30}
		m.merge(merged)
		if n := testing.AllocsPerRun(10, cross); n != 0 || got == 0 {
			t.Errorf("merged %v: %v allocations for %d datagrams", merged, n, len(out))
		}
		got = 0
	}
}

// discard reads what has come.
func discard(t *testing.T, c *Conn, in []Datagram) {
	t.Helper()
	if err := c.socket.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := c.batch.read(in); err != nil {
			break
		}
	}
	if err := c.socket.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}
