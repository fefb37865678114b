package turn

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"pileus/relay/limit"
)

// Above the limit packets wait and then go, in both directions; the rest is dropped and counted.
func TestLimit(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED with -race: so many events in a bubble may crash the detector of Go 1.26, https://go.dev/issue/78156")
	}
	const (
		rate     = 2_000_000 // bits per second
		payload  = 972       // bytes: 1,000 of IP
		interval = 2 * time.Millisecond
		packets  = 750 // 4 Mbit/s for 1.5 s
	)
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Limits = limit.New(limit.Config{Splice: rate}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan struct{})
		go func() { cfg.Limits.Run(ctx); close(ran) }()
		defer func() { cancel(); <-ran }()
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		m := &memory{t: t, sockets: make(map[netip.AddrPort]*memorySocket)}
		s.relays.listen = func(at netip.AddrPort) (relaySocket, error) { return m.bind(at), nil }
		server, peer := m.bind(netip.MustParseAddrPort("127.0.0.1:3478")), m.bind(netip.AddrPortFrom(elsewhere, 5000))
		own := &memoryConn{m.bind(netip.MustParseAddrPort("127.0.0.1:5000")), server.at}
		served := make(chan struct{})
		go func() { _ = s.ServePacket(memoryLink{server}); close(served) }()
		defer func() { s.Close(); <-served }()
		c := &client{t: t, conn: own, user: testUser, password: testPassword}
		relay := c.allocate()
		if code := c.bind(0x4000, peer.at); code != 0 {
			t.Fatal(code)
		}
		had := map[string]int{}
		began, data := time.Now(), channelData(0x4000, make([]byte, payload))
		for range packets {
			c.send(data)
			if _, err := peer.WriteToUDPAddrPort(data[channelHeader:], relay); err != nil {
				t.Fatal(err)
			}
			time.Sleep(interval)
			had["the peer"] += peer.empty()
			had["the client"] += own.empty()
		}
		want := rate * time.Since(began).Seconds() / 8 / (payload + 28)
		for who, got := range had {
			if float64(got) < 0.98*want || float64(got) > 1.02*want {
				t.Errorf("%s got %d of %d packets, want %.0f", who, got, packets, want)
			}
		}
		// What waits goes, and then nothing is left that is not accounted for.
		time.Sleep(time.Second)
		totals := s.Allocations(time.Now())[0].Totals
		for who, c := range map[string]limit.Counts{"the peer": totals.Sent, "the client": totals.Received} {
			late := map[string]*memorySocket{"the peer": peer, "the client": own.memorySocket}[who].empty()
			if late == 0 {
				t.Errorf("nothing waited to go to %s", who)
			}
			if c.Packets != uint64(had[who]+late) || c.Packets+c.Dropped() != packets {
				t.Errorf("%s got %d and then %d packets; of %d, %d are counted as sent and %d as dropped",
					who, had[who], late, packets, c.Packets, c.Dropped())
			}
		}
	})
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
