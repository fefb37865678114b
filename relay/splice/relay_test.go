package splice

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

func listen(t *testing.T) *udp.Conn {
	t.Helper()
	c, err := udp.Listen(addr("127.0.0.1:0"), udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// far is a peer's socket.
type far struct {
	*udp.Conn
	t *testing.T
}

func (f far) send(to netip.AddrPort, tos uint8, data []byte) {
	f.t.Helper()
	if n, err := f.WriteBatch([]udp.Datagram{{Peer: to, TOS: tos, Data: data}}); n != 1 || err != nil {
		f.t.Fatal(n, err)
	}
}

func (f far) receive(from netip.AddrPort, tos uint8, data []byte) {
	f.t.Helper()
	in := []udp.Datagram{{Data: make([]byte, 2048)}}
	if _, err := f.ReadBatch(in); err != nil {
		f.t.Fatal(err)
	}
	if in[0].Peer != from || in[0].TOS != tos || !bytes.Equal(in[0].Data, data) {
		f.t.Fatalf("got %d bytes with TOS %d from %v, want %d with %d from %v", len(in[0].Data), in[0].TOS, in[0].Peer, len(data), tos, from)
	}
}

// A pair over real sockets; one of the two is at a socket that is not the relay's
// to read.
func TestRelay(t *testing.T) {
	defer goleak.VerifyNone(t)
	engine := listen(t)
	twin, err := engine.Twin()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan Ended, 1)
	r, err := New(Config{
		Sockets: []udp.Socket{listen(t), listen(t)}, Shared: []Writer{twin},
		Guard: guard.New(guard.Config{AllowLoopback: true}), Limits: limit.New(limit.Config{}, nil),
		Ended: func(e Ended) { ended <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- r.Serve(ctx) }()

	fA, fB := far{listen(t), t}, far{listen(t), t}
	a, b := newPeer(t, fA.LocalAddr().String()), newPeer(t, fB.LocalAddr().String())
	q := request(a, b, "tag")
	q.Initiator.Local, q.Target.Local = addr("127.0.0.1:1935"), addr("127.0.0.1:1935")
	q.Initiator.At = []netip.AddrPort{engine.LocalAddr()}
	g, err := r.Open(q)
	if err != nil {
		t.Fatal(err)
	}
	if g.Initiator != engine.LocalAddr() {
		t.Fatalf("initiator at %v", g.Initiator)
	}
	// What the engine reads, it offers.
	at := far{engine, t}
	offer := func(data []byte, want bool) {
		t.Helper()
		at.receiveAny(func(d udp.Datagram) {
			took := false
			if id, _ := wire.Unscramble(d.Data); id != (wire.SessionID{}) {
				took = r.Packet(engine.LocalAddr(), d.Peer, d.TOS, d.Data)
			} else {
				typ, body := chunkOf(t, d.Data)
				took = r.Startup(engine.LocalAddr(), d.Peer, d.TOS, d.Data, typ, body)
			}
			if took != want || !bytes.Equal(d.Data, data) {
				t.Errorf("took %v, want %v", took, want)
			}
		})
	}
	w := newWorld(t, worldConfig{})
	rhello, iikeying, rikeying := w.rhello(b, "tag", cookie), w.iikeying(a, idA, cookie), w.rikeying(idA, idB)
	fA.send(g.Initiator, 0, w.ihello(b, "other"))
	offer(w.ihello(b, "other"), false)
	fA.send(g.Initiator, 0, w.ihello(b, "tag"))
	offer(w.ihello(b, "tag"), true)
	fB.send(g.Target, 2, rhello)
	fA.receive(g.Initiator, 2, rhello)
	fA.send(g.Initiator, 2, iikeying)
	offer(iikeying, true)
	fB.receive(g.Target, 2, iikeying)
	fB.send(g.Target, 0, rikeying)
	fA.receive(g.Initiator, 0, rikeying)
	for n := range 50 {
		up, down := data(idB, 500+n), data(idA, 600+n)
		fA.send(g.Initiator, 2, up)
		offer(up, true)
		fB.receive(g.Target, 2, up)
		fB.send(g.Target, 3, down)
		fA.receive(g.Initiator, 3, down)
	}
	if r.Packet(addr("127.0.0.1:9"), fA.LocalAddr(), 0, data(idB, 60)) {
		t.Error("took what came to another socket")
	}
	r.End(g.ID)
	if e := <-ended; e.Reason != EndOrdered || e.Totals.Sent.Packets+e.Totals.Received.Packets != 102 {
		t.Errorf("%+v", e)
	}
	if _, err := r.Open(q); err != nil {
		t.Error(err)
	}
	r.Gone(a.cert.PeerID())
	r.Moved(b.cert.PeerID(), b.addr)
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if e := <-ended; e.Reason != EndStopped {
		t.Errorf("%+v", e)
	}
	if _, err := r.Open(q); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
	if s, _ := r.Stats(); s.Drops[DropInbox] != 0 {
		t.Errorf("%+v", s)
	}
}

func (f far) receiveAny(take func(udp.Datagram)) {
	f.t.Helper()
	in := []udp.Datagram{{Data: make([]byte, 2048)}}
	if _, err := f.ReadBatch(in); err != nil {
		f.t.Fatal(err)
	}
	take(in[0])
}

func chunkOf(t *testing.T, data []byte) (wire.ChunkType, []byte) {
	t.Helper()
	typ, body, ok := NewTable(TableConfig{}).chunk(data)
	if !ok {
		t.Fatal("no startup packet")
	}
	return typ, bytes.Clone(body)
}

func TestInboxDropsWhatIsTooMuch(t *testing.T) {
	var b inbox
	for i := range inboxSize + 3 {
		if wake := b.put(i, addr("127.0.0.1:9"), 0, []byte{byte(i)}); wake != (i == 0) {
			t.Fatalf("wake %v at %d", wake, i)
		}
	}
	n := 0
	b.take(func(socket int, d udp.Datagram) {
		if socket != n || d.Data[0] != byte(n) {
			t.Fatalf("%d came as %d", socket, n)
		}
		n++
	})
	if n != inboxSize || b.lost.Load() != 3 || !b.empty() {
		t.Errorf("%d came, %d lost", n, b.lost.Load())
	}
}

// A packet of a session costs no allocation in the table.
func TestPacketPathAllocatesNothing(t *testing.T) {
	w, _, _, g := joined(t, worldConfig{})
	up, down := data(idB, 1200), data(idA, 1200)
	atA, atB := w.socket[g.Initiator], w.socket[g.Target]
	fromA, fromB := addr(viaA), addr(viaB)
	n := 0
	allocs := testing.AllocsPerRun(200, func() {
		w.now = w.now.Add(time.Millisecond)
		w.table.Receive(w.now, atA, udp.Datagram{Peer: fromA, TOS: 2, Data: up})
		w.table.Receive(w.now, atB, udp.Datagram{Peer: fromB, TOS: 2, Data: down})
		w.table.Flush(func(out []Output) { n += len(out) })
		w.table.Advance(w.now)
	})
	if allocs != 0 || n < 400 {
		t.Errorf("%v allocations for two packets; %d sent", allocs, n)
	}
}

func BenchmarkTable(b *testing.B) {
	t := &testing.T{}
	w, _, _, g := joined(t, worldConfig{})
	up := data(idB, 1200)
	at, from := w.socket[g.Initiator], addr(viaA)
	b.ReportAllocs()
	for b.Loop() {
		w.table.Receive(w.now, at, udp.Datagram{Peer: from, TOS: 2, Data: up})
		w.table.Flush(func([]Output) {})
	}
}
