package splice

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/udp"
)

// Sockets come and go with the machine's addresses while the relay runs: pairs are relayed at what is there,
// those at what goes end, and those elsewhere go on.
func TestSocketsComeAndGo(t *testing.T) {
	defer goleak.VerifyNone(t)
	ended := make(chan Ended, 10)
	r, err := New(Config{
		Sockets: []udp.Socket{listen(t), listen(t)},
		Guard:   guard.New(guard.Config{AllowLoopback: true}), Limits: limit.New(limit.Config{}, nil),
		Ended: func(e Ended) { ended <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- r.Serve(ctx) }()

	second := netip.MustParseAddr("127.0.0.2")
	at := func() *udp.Conn {
		c, err := udp.Listen(netip.AddrPortFrom(second, 0), udp.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	come := func() (ports []netip.AddrPort, engine netip.AddrPort) {
		t.Helper()
		a, b, c, main := at(), at(), at(), at()
		twin, err := main.Twin()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { main.Close() })
		if err := r.Add(t.Context(), []udp.Socket{a, b, c}, []Writer{twin}); err != nil {
			t.Fatal(err)
		}
		return []netip.AddrPort{a.LocalAddr(), b.LocalAddr(), c.LocalAddr()}, main.LocalAddr()
	}
	ask := func(local string, restricted ...netip.AddrPort) (Grant, error) {
		a, b := newPeer(t, "127.0.0.1:5000"), newPeer(t, "127.0.0.1:6000")
		q := request(a, b, "tag")
		q.Initiator.Local, q.Target.Local = addr(local), addr(local)
		q.Initiator.At = restricted
		return r.Open(q)
	}
	w := newWorld(t, worldConfig{})
	fB := far{listen(t), t}
	// heard reports whether the relay reads at a port: an RHello there is kept for a call's initiator.
	heard := func(g Grant) bool {
		t.Helper()
		before, _ := r.Stats()
		b := newPeer(t, fB.LocalAddr().String())
		fB.send(g.Target, 0, w.rhello(b, "nobody's", cookie))
		for range 100 {
			if now, _ := r.Stats(); now.Received > before.Received {
				return true
			}
			time.Sleep(5 * time.Millisecond)
		}
		return false
	}

	first, err := ask("127.0.0.1:1935")
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		ports, engine := come()
		if _, s := r.Stats(); s.Ports != 5 {
			t.Errorf("%d relay ports, want 5", s.Ports)
		}
		g, err := ask("127.0.0.2:1935")
		if err != nil || g.Initiator.Addr() != second || g.Target.Addr() != second || !heard(g) {
			t.Fatalf("round %d: relayed at %+v: %v", round, g, err)
		}
		if g, err := ask("127.0.0.2:1935", engine); err != nil || g.Initiator != engine {
			t.Errorf("round %d: relayed at %+v: %v", round, g, err)
		}
		if err := r.Withdraw(t.Context(), append(ports, engine)); err != nil {
			t.Fatal(err)
		}
		for e := (<-ended); ; e = <-ended {
			if e.Reason != EndAddress {
				t.Errorf("round %d: it ended with %v", round, e.Reason)
			}
			if len(ended) == 0 {
				break
			}
		}
		if g, err := ask("127.0.0.2:1935", engine); err == nil {
			t.Errorf("at a socket that has gone: %+v", g)
		}
		if _, s := r.Stats(); s.Ports != 2 {
			t.Errorf("%d relay ports are left, want 2", s.Ports)
		}
		if len(r.writers) > 6 || len(r.read) > 5 {
			t.Errorf("round %d: room for %d sockets, %d of them read: what is free is not used again", round, len(r.writers), len(r.read))
		}
	}
	if s, _ := r.Stats(); s.Splices != 1 || !heard(first) {
		t.Errorf("%d splices go on, want that which was elsewhere", s.Splices)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := r.Add(t.Context(), nil, nil); !errors.Is(err, ErrStopped) {
		t.Errorf("after its end: %v", err)
	}
}

// What was only reserved at a port that goes is not bound any more.
func TestWithdrawnReservations(t *testing.T) {
	w, a, b := pairOf(t, worldConfig{})
	q := request(a, b, "tag")
	q.Beside = true
	_, g, err := w.book.Open(w.now, q)
	if err != nil {
		t.Fatal(err)
	}
	socket := -1
	gone := make(map[netip.AddrPort]bool)
	for i, at := range w.ranges {
		if at == g.Target {
			socket = i
		}
		if at.Addr() == g.Target.Addr() {
			gone[at] = true
		}
	}
	o, ok := w.book.Reserved(w.now, socket, q.Tag)
	if !ok {
		t.Fatal("nothing is reserved")
	}
	w.book.withdraw(gone)
	if _, ok := w.book.Reserved(w.now, socket, q.Tag); ok {
		t.Error("it is reserved still")
	}
	if err := w.book.Bind(w.now, &o); !errors.Is(err, ErrReservation) {
		t.Errorf("bound: %v", err)
	}
	w.book.forget(gone)
	again, g2, err := w.book.Open(w.now, q)
	if err == nil && (gone[g2.Initiator] || gone[g2.Target]) {
		t.Errorf("%+v is named %+v", again, g2)
	}
}
