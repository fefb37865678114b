package udp

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// plainSocket hides what a *Conn can do beyond a Socket: it is read by a goroutine.
type plainSocket struct{ *Conn }

// Sockets come and go while an inlet reads: what comes to one is told under its index, one that was removed is
// no failure, and its index is given to the next.
func TestInletSocketsComeAndGo(t *testing.T) {
	for name, wrap := range map[string]func(*Conn) Socket{
		"polled": func(c *Conn) Socket { return c },
		"read":   func(c *Conn) Socket { return &plainSocket{c} },
	} {
		t.Run(name, func(t *testing.T) {
			local := netip.MustParseAddrPort("127.0.0.1:0")
			from := listen(t, local)
			conns := []*Conn{listen(t, local), listen(t, local)}
			sockets := []Socket{wrap(conns[0]), wrap(conns[1])}
			in, err := NewInlet(sockets, 1500)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				for _, s := range sockets {
					_ = s.Close()
				}
				in.Close()
			}()
			arrives := func(c *Conn, index int) {
				t.Helper()
				if err := from.Send([]byte("x"), c.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				for end, came := time.Now().Add(10*time.Second), false; !came; {
					if err := in.Wait(time.Second, func(i int, d []Datagram) {
						if came = true; i != index || len(d) != 1 {
							t.Errorf("%d datagrams came to %d, want one to %d", len(d), i, index)
						}
					}); err != nil || time.Now().After(end) {
						t.Fatal("nothing came: ", err)
					}
				}
			}
			add := func(index int) *Conn {
				t.Helper()
				c := listen(t, local)
				sockets = append(sockets, wrap(c))
				if i, err := in.Add(sockets[len(sockets)-1]); err != nil || i != index {
					t.Fatalf("added as %d, want %d: %v", i, index, err)
				}
				return c
			}
			arrives(conns[1], 1)
			third := add(2)
			arrives(third, 2)
			gone := conns[0].LocalAddr()
			in.Remove(0)
			_ = from.Send([]byte("lost"), gone)
			if err := in.Wait(20*time.Millisecond, func(int, []Datagram) { t.Error("a socket that is gone brings something") }); err != nil {
				t.Error(err)
			}
			arrives(third, 2)
			arrives(add(0), 0)
			arrives(add(3), 3)
		})
	}
}

// A twin of a socket that was removed keeps nobody awake.
func TestRemovedSocketIsSilent(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:0")
	from, c := listen(t, local), listen(t, local)
	at := c.LocalAddr()
	twin, err := c.Twin()
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	in, err := NewInlet([]Socket{c}, 1500)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	in.Remove(0)
	_ = from.Send([]byte("to nobody"), at)
	turns := 0
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); turns++ {
		if err := in.Wait(10*time.Millisecond, func(int, []Datagram) {}); err != nil {
			t.Fatal(err)
		}
	}
	if turns > 20 {
		t.Errorf("woken %d times in 50 ms", turns)
	}
}

// full is a batcher whose send buffer has no room before the deadline.
type full struct{ conn *Conn }

func (full) read([]Datagram) (int, error) { return 0, net.ErrClosed }

func (f full) write([]Datagram) (int, error) {
	if f.conn.patience == 0 {
		return 0, net.ErrClosed // it would block for ever
	}
	return 0, os.ErrDeadlineExceeded
}

// Where each socket has a reader, the one who writes is not held up for long either: what finds no room is dropped
// and counted.
func TestReadInletWritesAreImpatient(t *testing.T) {
	c := listen(t, netip.MustParseAddrPort("127.0.0.1:0"))
	c.batch = full{c}
	in := newReadInlet([]Socket{c}, 1500)
	defer in.Close()
	if n, err := c.WriteBatch(make([]Datagram, 7)); n != 0 || err != nil || c.Stats().WriteErrors != 7 {
		t.Errorf("%d were sent, %d counted: %v", n, c.Stats().WriteErrors, err)
	}
}
