package splice

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"pileus/rtmfp/wire"
)

// An idle splice, its accounts and limits included, is 8 KiB at most.
func TestMemoryOfAnIdleSplice(t *testing.T) {
	const splices, most = 500, 8 << 10
	w := newWorld(t, worldConfig{ports: 2 * splices})
	type end struct{ a, b peer }
	ends := make([]end, splices)
	for i := range ends {
		port := fmt.Sprint(1024 + i)
		ends[i].a, ends[i].b = newPeer(t, "198.51.100.1:"+port), newPeer(t, "203.0.113.1:"+port)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i, e := range ends {
		tag := fmt.Sprint("tag", i)
		g := w.ask(request(e.a, e.b, tag))
		w.join(e.a, e.b, tag, g, netip.AddrPortFrom(e.a.addr.Addr(), e.a.addr.Port()), e.b.addr,
			wire.SessionID{3, 0, 0, 0}, wire.SessionID{4, 0, 0, 0})
	}
	w.sent = nil
	got := (heap() - before) / splices
	t.Logf("%d bytes", got)
	if got > most {
		t.Errorf("an idle splice takes %d bytes, want at most %d", got, most)
	}
	runtime.KeepAlive(w)
	runtime.KeepAlive(ends)
}
