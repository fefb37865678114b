package pair

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp/udp"
)

// Without a relay two that refuse everything else do not meet, and soon say so.
func TestNothingRelayed(t *testing.T) {
	began := time.Now()
	_, err := Through(t.Context(), Config{Server: startNode(t), Rate: 1e6, Time: time.Second, Phase: func(string) {}})
	if err == nil || !strings.Contains(err.Error(), "no relay joins") || time.Since(began) > 20*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestFence(t *testing.T) {
	at := netip.MustParseAddrPort
	node, other, second, stranger := at("192.0.2.1:1935"), at("192.0.2.1:40000"), at("192.0.2.1:20000"), at("198.51.100.7:1935")
	f := &fence{nodes: []netip.AddrPort{netip.AddrPortFrom(node.Addr(), 1935)}, own: map[uint16]bool{other.Port(): true}}
	d := []udp.Datagram{{Peer: stranger, Data: []byte("s")}, {Peer: node, Data: []byte("n")}, {Peer: other, Data: []byte("o")}, {Peer: second, Data: []byte("2")}}
	if n := f.sift(d); n != 2 || d[0].Peer != node || d[1].Peer != second || string(d[1].Data) != "2" || d[2].Data == nil || d[3].Data == nil {
		t.Errorf("%d of %+v", n, d)
	}
}
