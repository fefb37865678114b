package bench

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// What a load sends straight to itself arrives, and is told from what an earlier load left behind.
func TestLanesFly(t *testing.T) {
	near, err := sockets("", netip.MustParseAddr("127.0.0.1"), 4)
	defer closeAll(near)
	if err != nil {
		t.Fatal(err)
	}
	far, err := sockets("", netip.MustParseAddr("127.0.0.1"), 4)
	defer closeAll(far)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]lane, len(near))
	for i := range all {
		to, err := localOf(far[i])
		if err != nil {
			t.Fatal(err)
		}
		all[i] = lane{out: near[i], to: rawSockaddr(to), in: far[i], header: []byte("head"), adds: 4}
	}
	for _, burst := range []int{1, 8} {
		l, err := newLanes(all, 1200, burst, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		l.send(1) // of a step that was cut short
		f, err := fly(t.Context(), l, firstMark, 2000, burst, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if f.sent < 16 || f.received != f.sent || len(f.delays) != f.received {
			t.Errorf("bursts of %d: %d of %d arrived, %d with a delay", burst, f.received, f.sent, len(f.delays))
		}
		if p := f.quantile(0.5); p <= 0 || p > time.Second {
			t.Errorf("bursts of %d took %v", burst, p)
		}
	}
}

func TestWires(t *testing.T) {
	b := testWires(t)
	w := b.wires
	near, err := sockets(w.namespace("near"), netip.MustParseAddr(nearIP), b.cfg.Pairs)
	defer closeAll(near)
	if err != nil {
		t.Fatal(err)
	}
	far, err := sockets(w.namespace("far"), netip.MustParseAddr(farIP), b.cfg.Pairs)
	defer closeAll(far)
	if err != nil {
		t.Fatal(err)
	}
	before, err := w.kernelTime()
	if err != nil {
		t.Fatal(err)
	}
	f, err := b.flyDirect(t.Context(), near, far, 1)
	if err != nil {
		t.Fatal(err)
	}
	if f.lost() > 0.5 {
		t.Errorf("%d of %d crossed", f.received, f.sent)
	}
	after, err := w.kernelTime()

	if err != nil || after == before {
		t.Errorf("the relay's kernel received %d packets in %v: %v", f.received, after-before, err)
	}
	w.remove()
	left, err := os.ReadDir("/run/netns")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), w.prefix) {
			t.Errorf("namespace %s was left behind", e.Name())
		}
	}
}
