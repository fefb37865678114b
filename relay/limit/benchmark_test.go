package limit

import (
	"testing"
	"time"
)

func benchmarkFlow(b *testing.B, cfg Config) *Flow {
	c := New(cfg, nil)
	p, err := c.Open(start, Splice, Party{Peer: "a", Tenant: "t"}, Party{Peer: "b", Tenant: "t"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return p.Forward
}

func BenchmarkOfferUnlimited(b *testing.B) {
	f := benchmarkFlow(b, Config{})
	for b.Loop() {
		f.Offer(start, packetSize)
	}
}

func BenchmarkOfferLimited(b *testing.B) {
	f := benchmarkFlow(b, Config{Splice: 1e9, Node: 10e9})
	now := start
	for b.Loop() {
		now = now.Add(time.Second * 8 * packetSize / 1e9)
		if f.Offer(now, packetSize) != Pass {
			b.Fatal("held")
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	f := benchmarkFlow(b, Config{Splice: 1e8})
	var backlog Backlog
	now := start
	for b.Loop() {
		now = now.Add(time.Second * 8 * packetSize / 2e8) // twice the rate
		if f.Offer(now, packetSize) == Hold {
			f.Push(now, payload, packetSize, ect0)
			backlog.Add(now, f)
		}
		backlog.Pop(now)
	}
}

func BenchmarkAdvance(b *testing.B) {
	c := New(Config{Node: 1e9, Peer: 4e6}, nil)
	for i := range 500 {
		p, err := c.Open(start, Splice, Party{Peer: string(rune(i)), Tenant: "t"}, Party{Peer: string(rune(i + 1000)), Tenant: "t"})
		if err != nil {
			b.Fatal(err)
		}
		p.Forward.waiting.Store(1)
	}
	b.ReportAllocs()
	now := start
	for b.Loop() {
		now = now.Add(Interval)
		c.Advance(now)
	}
}
