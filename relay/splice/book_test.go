package splice

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pileus/relay/limit"
	"pileus/rtmfp/wire"
)

// people makes n peers, each at an IP address of its own.
func people(t *testing.T, n int) []peer {
	list := make([]peer, n)
	for i := range list {
		list[i] = newPeer(t, fmt.Sprintf("203.0.113.%d:5000", 10+i))
	}
	return list
}

func TestPortsAreExclusiveAndRest(t *testing.T) {
	w := newWorld(t, worldConfig{ports: 6})
	p := people(t, 8)
	used := make(map[string]int)
	var grants []Grant
	for i := range 3 { // all six ports
		g := w.ask(request(p[2*i], p[2*i+1], fmt.Sprint("tag", i)))
		grants = append(grants, g)
		used[g.Initiator.String()]++
		used[g.Target.String()]++
	}
	if len(used) != 6 {
		t.Fatalf("six sides got %v", used)
	}
	w.wait(16 * time.Second) // all unbound, all ended
	if s := w.book.Stats(w.now); s.InUse != 0 {
		t.Errorf("%+v", s)
	}
	// The same pair keeps its ports, whoever calls.
	for i := range 3 {
		g := w.ask(request(p[2*i+1], p[2*i], "back"))
		if g.Initiator != grants[i].Target || g.Target != grants[i].Initiator {
			t.Errorf("pair %d: %v, had %v", i, g, grants[i])
		}
		w.wait(16 * time.Second)
	}
	// What was never used needs no rest: another pair has it for itself.
	w.ask(request(p[0], p[2], "unused"))
	if s := w.book.Stats(w.now); s.Shared != 0 {
		t.Errorf("%+v", s)
	}
	w.wait(16 * time.Second)
	// What was, does, and the pair finds it again.
	for i := range 3 {
		a, b, tag := p[2*i], p[2*i+1], fmt.Sprint("used", i)
		g := w.ask(request(a, b, tag))
		w.join(a, b, tag, g, a.addr, b.addr, idA, idB)
		grants[i] = g
	}
	w.wait(2 * time.Minute) // idle
	if s := w.book.Stats(w.now); s.InUse != 0 {
		t.Errorf("%+v", s)
	}
	for i := range 3 {
		g := w.ask(request(p[2*i+1], p[2*i], "rests"))
		if g.Initiator != grants[i].Target || g.Target != grants[i].Initiator {
			t.Errorf("pair %d: %v, had %v", i, g, grants[i])
		}
	}
	w.wait(16 * time.Second)
	// While all rest, another pair shares, though not with its own far ends.
	g := w.ask(request(p[0], p[2], "shared"))
	for _, at := range []string{g.Initiator.String(), g.Target.String()} {
		if at == grants[0].Initiator.String() && g.Initiator.String() == at || at == grants[1].Initiator.String() && g.Target.String() == at {
			t.Errorf("one of them sees two far ends at %v", at)
		}
	}
	if s := w.book.Stats(w.now); s.Shared != 2 {
		t.Errorf("%+v", s)
	}
	w.wait(20 * time.Minute)
	// Rested: the least recently used are first, and exclusive.
	h := w.ask(request(p[6], p[7], "rested"))
	if h.Initiator == g.Initiator || h.Initiator == g.Target || w.book.Stats(w.now).Shared != 0 {
		t.Errorf("%v after %v: %+v", h, g, w.book.Stats(w.now))
	}
}

func TestPortsRunOut(t *testing.T) {
	w := newWorld(t, worldConfig{ports: 2})
	p := people(t, 40)
	var err error
	n := 0
	for ; n < 20 && err == nil; n++ {
		_, err = w.try(request(p[2*n], p[2*n+1], fmt.Sprint("tag", n)))
	}
	if !errors.Is(err, ErrPorts) || n-1 != maxSharers {
		t.Errorf("%d pairs on two ports, then %v; want %d", n-1, err, maxSharers)
	}
	// A peer at the address of one that is there shares with nobody.
	one := newWorld(t, worldConfig{ports: 2})
	one.ask(request(p[0], p[1], "tag"))
	again := newPeer(t, p[0].addr.Addr().String()+":9999") // it connected again
	// takes the other side's port, and so does its peer; then both have been at
	// both.
	if _, err := one.try(request(again, p[1], "tag")); err != nil {
		t.Error(err)
	}
	third := newPeer(t, p[0].addr.Addr().String()+":10000")
	if _, err := one.try(request(third, p[1], "tag")); !errors.Is(err, ErrPorts) {
		t.Errorf("the same two addresses with a third ID: %v", err)
	}
}

// On a shared port, packets are told apart by source, and nobody moves.
func TestSharedPort(t *testing.T) {
	w := newWorld(t, worldConfig{ports: 2})
	p := people(t, 4)
	g := w.ask(request(p[0], p[1], "one"))
	h := w.ask(request(p[2], p[3], "two"))
	if g.Initiator != h.Initiator && g.Initiator != h.Target {
		t.Fatalf("%v and %v share nothing", g, h)
	}
	// Both have the ID that every client's first session has.
	w.join(p[0], p[1], "one", g, p[0].addr, p[1].addr, idA, idA)
	w.join(p[2], p[3], "two", h, p[2].addr, p[3].addr, idA, idA)
	w.receive(p[0].addr, g.Initiator, 0, data(idA, 60))
	w.receive(p[2].addr, h.Initiator, 0, data(idA, 60))
	w.expect("each to its own", g.Target.String()+">"+p[1].addr.String()+" 03000000", h.Target.String()+">"+p[3].addr.String()+" 03000000")
	w.wait(3 * time.Second)
	w.receive(addr(p[0].addr.Addr().String()+":7"), g.Initiator, 0, data(idA, 60))
	w.expect("no rebinding there")
}

func restricted(p peer, local string, at ...string) Party {
	y := p.party()
	y.Local = addr(local)
	for _, a := range at {
		y.At = append(y.At, addr(a))
	}
	return y
}

func TestRestricted(t *testing.T) {
	w := newWorld(t, worldConfig{})
	p := people(t, 6)
	blocked, free := p[0], p[1]

	// As initiator on the main port, where its IHello came and comes again only in
	// a second: the relay knows it.
	r := request(blocked, free, "tag")
	r.Initiator = restricted(blocked, main1, main1)
	g := w.ask(r)
	if g.Initiator != addr(main1) {
		t.Fatalf("initiator at %v", g.Initiator)
	}
	fromFree := netip.AddrPortFrom(free.addr.Addr(), 42000)
	w.receive(fromFree, g.Target, 0, w.rhello(free, "tag", cookie))
	w.expect("RHello at once", main1+">"+blocked.addr.String()+" RHello")
	w.receive(blocked.addr, addr(main1), 0, w.iikeying(blocked, idA, cookie))
	w.receive(fromFree, g.Target, 0, w.rikeying(idA, idA))
	w.receive(blocked.addr, addr(main1), 0, data(idA, 60))
	w.took()

	// A second one while that is live: two sessions with one ID could not be told
	// apart.
	r2 := request(blocked, p[2], "tag2")
	r2.Initiator = restricted(blocked, main1, main1)
	if _, err := w.try(r2); !errors.Is(err, ErrRestricted) {
		t.Errorf("a second on the main port: %v", err)
	}
	r2.Initiator = restricted(blocked, main1, main1, main2)
	if g, err := w.try(r2); err != nil || g.Initiator != addr(main2) {
		t.Errorf("at its second address: %v, %v", g, err)
	}
	w.table.Stop(w.now)
	w.flush()
	r2.Initiator = restricted(blocked, main1, main1)
	if _, err := w.try(r2); err != nil {
		t.Errorf("after the first: %v", err)
	}

	// As target never where its NetConnection is, and with one far end in 10
	// minutes.
	r = request(free, blocked, "tag3")
	r.Target = restricted(blocked, main1, main1)
	if _, err := w.try(r); !errors.Is(err, ErrRestricted) {
		t.Errorf("as target at the main port: %v", err)
	}
	other := p[3]
	r = request(free, other, "tag4")
	r.Target = restricted(other, main1, main2, extra1)
	g = w.ask(r)
	if g.Target != addr(main2) {
		t.Fatalf("target at %v", g.Target)
	}
	w.receive(fromFree, g.Initiator, 0, w.ihello(other, "tag4"))
	via := addr("203.0.113.13:777")
	w.receive(via, addr(main2), 0, w.rhello(other, "tag4", cookie))
	w.receive(fromFree, g.Initiator, 0, w.iikeying(free, idA, cookie))
	w.receive(via, addr(main2), 0, w.rikeying(idA, idB))
	w.receive(fromFree, g.Initiator, 0, data(idB, 60))
	w.receive(via, addr(main2), 0, data(idA, 60))
	if n := len(w.took()); n != 5 {
		t.Fatalf("%d packets, want 5: %+v", n, w.table.Stats())
	}
	r = request(p[4], other, "tag5")
	r.Target = restricted(other, main1, main2, extra1)
	if g := w.ask(r); g.Target != addr(extra1) {
		t.Errorf("the second far end is at %v", g.Target)
	}
	r = request(p[5], other, "tag6")
	r.Target = restricted(other, main1, main2, extra1)
	if _, err := w.try(r); !errors.Is(err, ErrRestricted) {
		t.Errorf("a third: %v", err)
	}
	r = request(free, other, "tag7")
	r.Target = restricted(other, main1, main2, extra1)
	if h := w.ask(r); h.Target != addr(main2) {
		t.Errorf("the first again is at %v", h.Target)
	}
	w.wait(12 * time.Minute)
	r = request(p[5], other, "tag8")
	r.Target = restricted(other, main1, main2)
	if _, err := w.try(r); err != nil {
		t.Errorf("after a rest: %v", err)
	}
}

// An order on a splice that ended on the way begins another one.
func TestOrderCrossesEnd(t *testing.T) {
	w, a, b, g := joined(t, worldConfig{})
	o, h, err := w.book.Open(w.now, request(a, b, "again"))
	if err != nil || h != g {
		t.Fatalf("%v, %v", h, err)
	}
	w.table.End(w.now, g.ID)
	w.flush() // tells the book of the old one
	w.table.Open(w.now, o)
	w.took()
	w.join(a, b, "again", h, addr(viaA), addr(viaB), idA, wire.SessionID{7})
	w.wait(2 * time.Minute)
	w.nothingLeft()
}

func TestQuota(t *testing.T) {
	c := limit.Config{}
	c.Quotas[limit.Splice].Peer = 1
	w := newWorld(t, worldConfig{limits: c})
	p := people(t, 3)
	w.ask(request(p[0], p[1], "tag"))
	w.ask(request(p[0], p[1], "tag2")) // the same splice
	_, err := w.try(request(p[0], p[2], "tag"))
	var quota *limit.QuotaError
	if !errors.As(err, &quota) || quota.Quota != limit.QuotaPeer {
		t.Errorf("a second: %v", err)
	}
	if s := w.book.Stats(w.now); s.Refused[RefusedQuota] != 1 || s.InUse != 2 {
		t.Errorf("%+v", s)
	}
}
