package turn

import (
	"context"
	"net"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"pileus/relay/limit"
)

// Above the limit packets wait and then go, in both directions; the rest is dropped and counted.
func TestLimit(t *testing.T) {
	const (
		rate     = 2_000_000 // bits per second
		payload  = 972       // bytes: 1,000 of IP
		interval = 2 * time.Millisecond
		packets  = 750 // 4 Mbit/s for 1.5 s
	)
	cfg := testConfig()
	cfg.Limits = limit.New(limit.Config{Splice: rate}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { cfg.Limits.Run(ctx); close(ran) }()
	defer func() { cancel(); <-ran }()
	s, at := serve(t, cfg)
	c := dial(t, at, testUser, testPassword)
	relay := c.allocate()
	peer := listenUDP(t, elsewhere)
	if code := c.bind(0x4000, unmap(peer.LocalAddr().(*net.UDPAddr).AddrPort())); code != 0 {
		t.Fatal(code)
	}
	var atPeer, atClient atomic.Int64
	count := func(conn net.Conn, n *atomic.Int64) {
		b := make([]byte, 2000)
		for {
			if _, err := conn.Read(b); err != nil {
				return
			}
			n.Add(1)
		}
	}
	go count(peer, &atPeer)
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go count(c.conn, &atClient)
	data := channelData(0x4000, make([]byte, payload))
	begun := time.Now()
	for i := range packets {
		c.send(data)
		if _, err := peer.WriteToUDPAddrPort(data[channelHeader:], relay); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(begun.Add(time.Duration(i+1) * interval)))
	}
	took := time.Since(begun)
	eventually(t, "all sent or dropped", func() bool {
		totals := s.Allocations(time.Now())[0].Totals
		return totals.Sent.Packets+totals.Sent.Dropped() == packets && totals.Received.Packets+totals.Received.Dropped() == packets
	})
	want := float64(rate) * took.Seconds() / 8 / 1000
	for name, got := range map[string]int64{"peer": atPeer.Load(), "client": atClient.Load()} {
		if float64(got) < 0.85*want || float64(got) > 1.25*want {
			t.Errorf("the %s got %d of %d packets in %v, want about %.0f", name, got, packets, took, want)
		}
	}
}

// An allocation with one channel costs little memory.
func TestMemoryOfAnAllocation(t *testing.T) {
	const (
		allocations = 400
		most        = 16 << 10
	)
	s, at := serve(t, testConfig())
	first := dial(t, at, testUser, testPassword)
	first.allocate()
	peer := listenUDP(t, elsewhere)
	bind := func(c *client) {
		t.Helper()
		if code := c.bind(0x4000, unmap(peer.LocalAddr().(*net.UDPAddr).AddrPort())); code != 0 {
			t.Fatal(code)
		}
	}
	bind(first)
	clients := make([]*client, 0, allocations)
	for range allocations { // made before, so that they do not count
		clients = append(clients, first.another(at))
	}
	used := func() uint64 {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := used()
	for _, c := range clients {
		c.allocate()
		bind(c)
		c.send(channelData(0x4000, []byte("hello")))
	}
	eventually(t, "used", func() bool {
		n := 0
		for _, a := range s.Allocations(time.Now()) {
			n += int(a.Totals.Sent.Packets)
		}
		return n == allocations
	})
	each := (used() - before) / allocations
	t.Logf("%d bytes each", each)
	if each > most {
		t.Errorf("%d bytes each, want at most %d", each, most)
	}
}
