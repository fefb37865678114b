package flow

import (
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// pair is two Muxes joined by a perfect wire: what a benchmark measures is flows
// alone.
type pair struct {
	now  time.Time
	a, b *Mux
	buf  []byte
	n    int // messages received
}

func (p *pair) Now() time.Time                     { return p.now }
func (p *pair) Wake()                              {}
func (p *pair) Incoming(*RecvFlow) (Accept, error) { return Accept{Receiver: p}, nil }
func (p *pair) Message(*RecvFlow, []byte)          { p.n++ }
func (p *pair) Ended(*RecvFlow, error)             {}
func newPair(c Config) *pair {
	p := &pair{now: time.Unix(1e9, 0), buf: make([]byte, 0, 1500)}
	p.a, p.b = NewMux(p, c), NewMux(p, c)
	return p
}

// exchange moves packets both ways until nobody has anything to send.
func (p *pair) exchange() {
	for moved := true; moved; {
		moved = false
		for _, m := range []*Mux{p.a, p.b} {
			far := p.b
			if m == p.b {
				far = p.a
			}
			out, info := m.Fill(p.buf[:0], testLimit)
			if len(out) > 0 {
				moved = true
				var ecn uint8
				if info.ECT {
					ecn = 2
				}
				receive(far, out, PacketInfo{ECN: ecn})
			}
		}
	}
}

func benchmarkMessages(b *testing.B, size, batch int) {
	p := newPair(Config{})
	f, err := p.a.Open([]byte("bench"), SendOptions{})
	if err != nil {
		b.Fatal(err)
	}
	msg := content(1, size)
	write(b, f, msg, WriteOptions{})
	p.exchange()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		write(b, f, msg, WriteOptions{})
		if n%batch == batch-1 {
			p.exchange()
			p.now = p.now.Add(time.Millisecond)
		}
	}
}

func BenchmarkMessage1000(b *testing.B)      { benchmarkMessages(b, 1000, 1) }
func BenchmarkMessage1000Batch(b *testing.B) { benchmarkMessages(b, 1000, 64) }
func BenchmarkMessage50(b *testing.B)        { benchmarkMessages(b, 50, 64) }
func BenchmarkMessage64K(b *testing.B)       { benchmarkMessages(b, 64<<10, 1) }

// BenchmarkFill sends one fragment again and again, as a timeout makes it.
func BenchmarkFill(b *testing.B) {
	p := newPair(Config{})
	f, _ := p.a.Open([]byte("bench"), SendOptions{})
	write(b, f, content(1, 1000), WriteOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if out, _ := p.a.Fill(p.buf[:0], testLimit); len(out) < 1000 {
			b.Fatal("nothing to send")
		}
		p.now = p.now.Add(20 * time.Second)
		p.a.Advance()
	}
}

// TestIdleSize holds what ten thousand idle peers cost: a Mux with a flow each way
// that have carried a few messages.
func TestIdleSize(t *testing.T) {
	t.Logf("Mux %d, SendFlow %d, RecvFlow %d, fragment %d, message %d bytes",
		unsafe.Sizeof(Mux{}), unsafe.Sizeof(SendFlow{}), unsafe.Sizeof(RecvFlow{}), unsafe.Sizeof(fragment{}), unsafe.Sizeof(message{}))
	const n = 1000
	shared, account := new(Shared), new(Account)
	pairs := make([]*pair, n)
	for i := range pairs {
		pairs[i] = &pair{now: time.Unix(1e9, 0), buf: make([]byte, 0, 1500)}
	}
	before := heapBytes()
	for _, p := range pairs {
		p.a, p.b = NewMux(p, Config{Shared: shared, Account: account}), NewMux(p, Config{Shared: shared, Account: account})
		for _, m := range []*Mux{p.a, p.b} {
			f, err := m.Open([]byte{0, 'T', 'C', 4, 0}, SendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			write(t, f, content(1, 300), WriteOptions{})
			write(t, f, content(1, 3000), WriteOptions{})
		}
		for range 3 { // delayed acknowledgements and the timeout alarm
			p.exchange()
			p.now = p.now.Add(5 * time.Second)
			p.a.Advance()
			p.b.Advance()
		}
	}
	each := (heapBytes() - before) / (2 * n)
	t.Logf("%d bytes for a Mux and two flows", each)
	if each > 750 {
		t.Errorf("%d bytes for an idle Mux and two flows", each)
	}
	runtime.KeepAlive(pairs)
}

func heapBytes() int {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc)
}
