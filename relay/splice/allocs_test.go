package splice

import (
	"testing"

	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// A packet of a standing splice is forwarded without allocation.
func TestForwardingDoesNotAllocate(t *testing.T) {
	w := newWorld(t, worldConfig{})
	a, b := newPeer(t, "198.51.100.1:1024"), newPeer(t, "203.0.113.1:1024")
	near, far := wire.SessionID{3, 0, 0, 0}, wire.SessionID{4, 0, 0, 0}
	g := w.ask(request(a, b, "tag"))
	w.join(a, b, "tag", g, a.addr, b.addr, near, far)
	w.took()
	socket, packet := w.socket[g.Initiator], data(far, 1200)
	forwarded := 0
	send := func(out []Output) { forwarded += len(out) }
	n := testing.AllocsPerRun(100, func() {
		for range 8 {
			w.table.Receive(w.now, socket, udp.Datagram{Peer: a.addr, TOS: 2, Data: packet})
		}
		w.table.Flush(send)
	})
	if n != 0 || forwarded < 800 {
		t.Errorf("%v allocations for 8 packets, %d were forwarded", n, forwarded)
	}
}
