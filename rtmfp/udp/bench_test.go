package udp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkLoopback sends batches of 100 bytes from one socket to another. The write includes the
// kernel's delivery into the far socket.
func BenchmarkLoopback(b *testing.B) {
	for _, path := range []string{"own", "generic"} {
		for _, batch := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/batch=%d", path, batch), func(b *testing.B) {
				from := listen(b, netip.MustParseAddrPort("127.0.0.1:0"))
				to := listen(b, netip.MustParseAddrPort("127.0.0.1:0"))
				if path == "generic" {
					from, to = useGeneric(from), useGeneric(to)
				}
				out, in := buffers(batch, 0), buffers(64, 2048)
				for i := range out {
					out[i] = Datagram{Peer: to.LocalAddr(), TOS: 2, Data: make([]byte, 100)}
				}
				var read, write time.Duration
				b.ReportAllocs()
				for b.Loop() {
					start := time.Now()
					if n, err := from.WriteBatch(out); n != batch || err != nil {
						b.Fatal(n, err)
					}
					written := time.Now()
					for got := 0; got < batch; {
						n, err := to.ReadBatch(in)
						if err != nil {
							b.Fatal(err)
						}
						got += n
					}
					read += time.Since(written)
					write += written.Sub(start)
				}
				datagrams := float64(b.N * batch)
				b.ReportMetric(float64(read)/datagrams, "read-ns/datagram")
				b.ReportMetric(float64(write)/datagrams, "write-ns/datagram")
			})
		}
	}
}
