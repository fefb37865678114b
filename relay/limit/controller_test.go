package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func party(peer, tenant, prefix string) Party {
	p := Party{Peer: peer, Tenant: tenant}
	if prefix != "" {
		p.Prefix = netip.MustParsePrefix(prefix)
	}
	return p
}

func TestQuotas(t *testing.T) {
	var cfg Config
	cfg.Quotas[Splice] = Quota{Peer: 2, Prefix: 3, Total: 4}
	cfg.Quotas[Allocation] = Quota{Peer: 1}
	c := New(cfg, nil)
	const near, far = "192.0.2.0/24", "198.51.100.0/24"
	var opened []*Pair
	for _, step := range []struct {
		kind Kind
		a, b Party
		want QuotaName // numQuotas: admitted
	}{
		{Splice, party("a", "t", near), party("b", "t", far), numQuotas},
		{Splice, party("a", "t", near), party("c", "t", ""), numQuotas},
		{Splice, party("a", "t", near), party("d", "t", ""), QuotaPeer},
		{Splice, party("d", "t", ""), party("a", "t", near), QuotaPeer},
		{Splice, party("a", "another", near), party("d", "another", near), numQuotas}, // one name in two tenants
		{Splice, party("e", "t", near), party("f", "t", ""), QuotaPrefix},
		{Splice, party("e", "t", ""), party("f", "t", near), QuotaPrefix},
		{Allocation, party("a", "t", near), Party{}, numQuotas}, // a kind has counts of its own
		{Allocation, party("a", "t", near), Party{}, QuotaPeer},
		{Splice, party("g", "t", ""), party("h", "t", ""), numQuotas},
		{Splice, party("i", "t", ""), party("j", "t", ""), QuotaTotal},
	} {
		p, err := c.Open(start, step.kind, step.a, step.b)
		if err == nil {
			opened = append(opened, p)
		}
		var quota *QuotaError
		switch {
		case step.want == numQuotas && err != nil:
			t.Errorf("%v: %v", step, err)
		case step.want == numQuotas:
		case !errors.As(err, &quota) || quota.Quota != step.want || quota.Kind != step.kind:
			t.Errorf("%v: %v, want quota %v", step, err, step.want)
		case !strings.Contains(err.Error(), fmt.Sprint(quota.Limit)) || strings.Contains(err.Error(), "192.0"):
			t.Errorf("%v does not say its limit, or says an address", err)
		}
	}
	_, refused := c.Node()
	if want := [numQuotas]uint64{QuotaPeer: 2, QuotaPrefix: 2, QuotaTotal: 1}; refused[Splice] != want {
		t.Errorf("refused %v, want %v", refused[Splice], want)
	}
	for _, p := range opened {
		p.Close(start)
		p.Close(start) // nothing
	}
	u, _ := c.Node()
	if u.Open != [numKinds]int{} || len(c.prefixes) != 0 || len(c.pairs) != 0 {
		t.Errorf("after all has ended: %v, %v", u.Open, c.prefixes)
	}
}

func TestBytesPerDay(t *testing.T) {
	var cfg Config
	cfg.BytesPerDay.Peer, cfg.BytesPerDay.Tenant = 1000, 10_000
	c := New(cfg, nil)
	reach := func(a, b Party, bytes int) error {
		t.Helper()
		p, err := c.Open(start, Splice, a, b)
		if err != nil {
			return err
		}
		p.Backward.Offer(start, bytes)
		p.Close(start)
		return nil
	}
	wants := func(err error, want QuotaName) {
		t.Helper()
		var quota *QuotaError
		if !errors.As(err, &quota) || quota.Quota != want {
			t.Errorf("%v, want quota %v", err, want)
		}
	}
	if err := reach(party("a", "t", ""), party("b", "t", ""), 1000); err != nil {
		t.Fatal(err)
	}
	wants(reach(party("a", "t", ""), party("c", "t", ""), 1), QuotaPeerBytes) // received
	wants(reach(party("c", "t", ""), party("b", "t", ""), 1), QuotaPeerBytes) // sent
	if err := reach(party("d", "t", ""), party("e", "t", ""), 9000); err != nil {
		t.Error(err)
	}
	wants(reach(party("f", "t", ""), party("g", "t", ""), 1), QuotaTenantBytes)
	if err := reach(party("f", "another", ""), party("g", "another", ""), 1); err != nil {
		t.Error(err)
	}
	if _, err := c.Open(start.Add(24*time.Hour), Splice, party("a", "t", ""), party("f", "t", "")); err != nil {
		t.Errorf("the day after: %v", err)
	}
}

func TestDrain(t *testing.T) {
	c := New(Config{}, nil)
	p, err := c.Open(start, Splice, party("a", "t", ""), party("b", "t", ""))
	if err != nil {
		t.Fatal(err)
	}
	c.Drain(true)
	if _, err := c.Open(start, Splice, party("c", "t", ""), party("d", "t", "")); !errors.Is(err, ErrDraining) {
		t.Errorf("while draining: %v", err)
	}
	if p.Forward.Offer(start, packetSize) != Pass {
		t.Error("a live pair was cut")
	}
	c.Drain(false)
	if _, err := c.Open(start, Splice, party("c", "t", ""), party("d", "t", "")); err != nil {
		t.Errorf("after draining: %v", err)
	}
}

func TestTotals(t *testing.T) {
	var events []Ended
	c := New(Config{Splice: 1e6}, func(e Ended) { events = append(events, e) })
	a, b := party("a", "t", "192.0.2.0/24"), party("b", "t", "")
	p, err := c.Open(start, Splice, a, b)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if p.Forward.Offer(start, packetSize) == Hold {
			p.Forward.Push(start, payload, packetSize, notECT)
		}
	}
	p.Forward.Push(start, make([]byte, MaxPacket+1), MaxPacket+29, notECT)
	p.Backward.Offer(start, 100)
	c.Advance(start.Add(time.Second))
	u, _ := c.Node()
	sent := p.Forward.Counts()
	if u.Totals[Splice].Sent.Bytes != sent.Bytes+100 || u.Open[Splice] != 1 {
		t.Errorf("while open the node has %+v", u)
	}

	totals := p.Close(start.Add(3 * time.Second))
	waited := 10 - sent.Packets - sent.Drops[DropBound] - sent.Drops[DropHead]
	sent.Drops[DropClosed] = waited
	want := Totals{Sent: sent, Received: Counts{Bytes: 100, Packets: 1}, Pairs: 1, Duration: 3 * time.Second}
	if sent.Packets == 0 || waited == 0 || sent.Drops[DropOversize] != 1 {
		t.Errorf("the test is not one: %+v", sent)
	}
	if diff := cmp.Diff(want, totals); diff != "" {
		t.Errorf("pair (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Ended{{Splice, a, b, want}}, events, cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	first, _ := c.Peer("t", "a")
	if diff := cmp.Diff(want, first.Totals[Splice]); diff != "" {
		t.Errorf("first peer (-want +got):\n%s", diff)
	}
	second, _ := c.Peer("t", "b")
	if second.Totals[Splice].Sent != want.Received || second.Totals[Splice].Received != want.Sent {
		t.Errorf("second peer %+v", second)
	}
	tenant := c.Tenants()["t"]
	if tenant.Today != want.Sent.Bytes+100 || tenant.Totals[Splice].Sent.Packets != want.Sent.Packets+1 {
		t.Errorf("tenant %+v", tenant)
	}
}

// Who is unknown has no limits of his own, but those of all.
func TestUnknownParties(t *testing.T) {
	for _, cfg := range []Config{{}, {Node: 1e6, Tenant: 1e6, Peer: 1e6, Splice: 1e6}} {
		c := New(cfg, nil)
		nobody, err := c.Open(start, Splice, Party{}, Party{})
		if err != nil {
			t.Fatal(err)
		}
		user, err := c.Open(start, Allocation, party("a", "t", ""), Party{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			for _, f := range []*Flow{nobody.Forward, nobody.Backward, user.Forward, user.Backward} {
				f.Offer(start, packetSize)
			}
			c.Advance(start.Add(Interval * time.Duration(i)))
		}
		c.Reload(cfg)
		nobody.Close(start)
		user.Close(start)
		if u, _ := c.Node(); u.Totals[Splice].Sent.Packets == 0 || u.Totals[Allocation].Sent.Packets == 0 {
			t.Errorf("%+v", u)
		}
	}
}

// Strangers in any number leave a bounded number of accounts, and nobody with an open pair loses his.
func TestAccountsAreBounded(t *testing.T) {
	c := New(Config{}, nil)
	kept, err := c.Open(start, Splice, party("kept", "t", ""), party("kept too", "t", ""))
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxParties + 1000 {
		p, err := c.Open(start, Allocation, party(fmt.Sprint(i), "t", ""), Party{})
		if err != nil {
			t.Fatal(err)
		}
		p.Close(start)
	}
	if len(c.peers) > maxParties {
		t.Errorf("%d accounts, want at most %d", len(c.peers), maxParties)
	}
	kept.Close(start)
	if u, ok := c.Peer("t", "kept"); !ok || u.Totals[Splice].Pairs != 1 {
		t.Error("the account of an open pair was lost")
	}
	c.Advance(start.Add(24 * time.Hour))
	if len(c.peers) != 0 || len(c.tenants) != 0 {
		t.Errorf("%d accounts the day after", len(c.peers))
	}
}

// The hard bound holds for flows that were fast when their queue was filled.
func TestRateFallsUnderAQueue(t *testing.T) {
	c, f := open(t, Config{Splice: 100e6})
	var b Backlog
	for range 3000 {
		if f.Offer(start, packetSize) == Hold {
			f.Push(start, payload, packetSize, ect0)
			b.Add(start, f)
		}
	}
	if f.queue.packets > maxHeld {
		t.Errorf("%d packets wait, want at most %d", f.queue.packets, maxHeld)
	}
	c.Reload(Config{Splice: 1e6})
	f.Push(start, payload, packetSize, ect0)
	if late := time.Duration(span(f.queue.bytes, f.cost.Load())); late > maxDelay {
		t.Errorf("%v wait at the new rate, want at most %v", late, maxDelay)
	}
	// And the limit's end frees what waits, at the latest an Interval later.
	c.Reload(Config{})
	freed := 0
	for {
		if _, _, _, ok := b.Pop(start.Add(Interval)); !ok {
			break
		}
		freed++
	}
	if f.queue.packets != 0 || freed == 0 || !b.Next().IsZero() {
		t.Errorf("%d freed, %d wait on, next at %v", freed, f.queue.packets, b.Next())
	}
}

// The far ends of a TURN allocation are nobody's, and count against no limit of a peer or tenant.
func TestAdvanceWithAnUnknownParty(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := New(Config{}, nil)
	p, err := c.Open(now, Allocation, Party{Peer: "alice"}, Party{})
	if err != nil {
		t.Fatal(err)
	}
	p.Forward.Offer(now, 1000)
	c.Advance(now.Add(Interval))
	if got := p.Totals(now).Sent.Packets; got != 1 {
		t.Errorf("%d packets", got)
	}
}

// Flows work on goroutines of their own while the control loop turns: for the race detector.
func TestFlowsBesideTheControlLoop(t *testing.T) {
	c := New(Config{Splice: 1e6, Node: 3e6}, nil)
	var workers sync.WaitGroup
	for i := range 4 {
		p, err := c.Open(start, Splice, party(fmt.Sprint("a", i), "t", ""), party(fmt.Sprint("b", i), "t", ""))
		if err != nil {
			t.Fatal(err)
		}
		workers.Go(func() {
			var b Backlog
			for n := range 500 {
				now := start.Add(time.Duration(n) * 2 * time.Millisecond)
				if p.Forward.Offer(now, packetSize) == Hold {
					p.Forward.Push(now, payload, packetSize, ect0)
					b.Add(now, p.Forward)
				}
				b.Pop(now)
			}
			p.Close(start.Add(time.Second))
		})
	}
	for n := range 20 {
		c.Advance(start.Add(time.Duration(n) * Interval))
		c.Node()
		c.Reload(Config{Splice: 1e6, Node: 2e6})
	}
	workers.Wait()
	if u, _ := c.Node(); u.Totals[Splice].Sent.Packets == 0 || u.Open[Splice] != 0 {
		t.Errorf("%+v", u)
	}
}

// One peer alone may have all that there is until half of it is taken; from then on equal parts, and whoever has
// none gets one.
func TestQuotaIsAShare(t *testing.T) {
	var cfg Config
	cfg.Quotas[Allocation].Peer = Share
	c := New(cfg, nil)
	c.SetCapacity(Allocation, 100)
	open := map[string][]*Pair{}
	// takes has a peer open as many as it gets, and tells how many.
	takes := func(peer string, most int) int {
		for range most {
			p, err := c.Open(start, Allocation, Party{Peer: peer}, Party{})
			if quota := (*QuotaError)(nil); errors.As(err, &quota) {
				if quota.Quota != QuotaShare || quota.Party.Peer != peer {
					t.Fatalf("%s: %v", peer, err)
				}
				break
			}
			open[peer] = append(open[peer], p)
		}
		return len(open[peer])
	}
	ends := func(peer string, n int) {
		for range n {
			last := len(open[peer]) - 1
			open[peer][last].Close(start)
			open[peer] = open[peer][:last]
		}
	}
	for _, step := range []struct {
		peer string
		most int
		want int
	}{
		{"greedy", 1000, 50}, // half of all, and half with one who may come
		{"second", 1000, 33}, // a third
		{"greedy", 1000, 50}, // nothing is taken away
		{"third", 1000, 25},  // more than there are, but the quota does not know what is free
		{"late", 1, 1},
	} {
		if got := takes(step.peer, step.most); got != step.want {
			t.Errorf("%s has %d, want %d", step.peer, got, step.want)
		}
	}
	// Each has its part: no more until others leave.
	ends("second", 33)
	ends("third", 25)
	ends("late", 1)
	ends("greedy", 10)
	if got := takes("greedy", 1000); got != 50 {
		t.Errorf("alone again: %d", got)
	}
	ends("greedy", 50)
	if c.holders != [numKinds]int{} {
		t.Errorf("holders are left: %v", c.holders)
	}
	// Reload keeps the capacity; 0 and a number are what they were.
	cfg.Quotas[Allocation].Peer = 0
	c.Reload(cfg)
	if got := takes("greedy", 120); got != 120 {
		t.Errorf("without a quota: %d", got)
	}
}
