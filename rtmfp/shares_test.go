package rtmfp

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/wire"
)

func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// packetRoom is what packets of a test hold of chunks.
const packetRoom = 1100

// hoard sends count messages, or fragments, on each of flows flows, from sequence
// number from on, each in as few packets as they fit.
func (p *sealed) hoard(flows, from, count int, fra wire.Fragment, msg []byte) {
	for f := 2; f < 2+flows; f++ {
		var b []byte
		for i := range count {
			kind := fra
			if kind == wire.FragmentBegin && i > 0 {
				kind = wire.FragmentMiddle
			}
			if len(b) == 0 {
				b = userData(b, uint64(f), uint64(from+i), kind, msg)
			} else {
				b = nextUserData(b, kind, msg)
			}
			if len(b)+len(msg)+20 > packetRoom {
				p.send(b)
				b = b[:0]
			}
		}
		if len(b) > 0 {
			p.send(b)
		}
	}
	p.engine.Flush(func([]Datagram) {})
}

// The attacks of many sessions behind one address, a twentieth as many: each would take
// a hundred MiB. What all hold stays below the limit, and an honest client gets its
// session and its messages through meanwhile.
func TestMemoryHasOneAccount(t *testing.T) {
	for name, c := range map[string]struct {
		sessions, flows, from, count int
		fra                          wire.Fragment
		size                         int
		closed                       bool // some sessions have to be
	}{
		"one-byte messages behind a gap": {10, 60, 2, 2950, wire.FragmentWhole, 1, false},
		"fragments behind a gap":         {10, 60, 2, 175, wire.FragmentBegin, 1000, false},
		"messages that never end":        {20, 30, 2, 60, wire.FragmentMiddle, 1000, true},
	} {
		for _, prefixes := range []int{1, 10} {
			t.Run(name, func(t *testing.T) {
				const limit = 6 << 20
				e := newTestEngine(t, func(c *Config) {
					c.Shared = SharedLimits{Memory: limit, Share: 10, WideShare: 50}
				})
				honest := openSealed(t, e, netip.MustParseAddrPort("198.51.100.1:5000"), someCertificate(t, 0))
				honest.send(userData(nil, 2, 1, wire.FragmentWhole, []byte("hello")))
				before, most := heapInUse(), int64(0)
				var list []*sealed
				for i := range c.sessions {
					addr := netip.AddrFrom4([4]byte{10, byte(i % prefixes), 0, 1})
					p := openSealed(t, e, netip.AddrPortFrom(addr, uint16(1000+i)), someCertificate(t, 1+i))
					if list = append(list, p); c.closed {
						p.hoard(c.flows, 1, 1, wire.FragmentBegin, nil) // while flows may begin
					}
				}
				for _, p := range list {
					p.hoard(c.flows, c.from, c.count, c.fra, make([]byte, c.size))
					most = max(most, e.shares.memory().Held())
				}
				grown := heapInUse() - before
				st := e.Stats()
				t.Logf("heap grew by %d KiB, %d KiB counted, %d at most; %d closed", grown>>10, st.Memory>>10, most>>10, st.Relieved)
				// In sequence a batch of datagrams may go above it before somebody is closed.
				if most > limit+limit/8 || grown > limit*2 {
					t.Errorf("%d bytes held at most, the heap grew by %d", most, grown)
				}
				if c.closed != (st.Relieved > 0) || st.Memory > limit {
					t.Errorf("%d sessions closed, %d bytes held", st.Relieved, st.Memory)
				}
				if prefixes == 1 && !c.closed && most > limit/2+limit/10 {
					t.Errorf("one prefix holds %d of %d bytes", most, limit)
				}
				// Four fragments in order, and a message behind a gap that closes.
				delivered := e.FlowStats().MessagesDelivered
				honest.send(userData(nil, 2, 2, wire.FragmentBegin, make([]byte, 900)))
				honest.send(userData(nil, 2, 3, wire.FragmentMiddle, make([]byte, 900)))
				honest.send(userData(nil, 2, 4, wire.FragmentEnd, make([]byte, 900)))
				if n := e.FlowStats().MessagesDelivered - delivered; n != 1 || !honest.session.Open() {
					t.Errorf("%d messages of the honest client came through, open %v", n, honest.session.Open())
				}
				e.joins(t, netip.MustParseAddrPort("203.0.113.9:6000"), true)
				for _, s := range e.sessions {
					s.end(ErrClosed)
				}
				if e.shares.memory().Held() != 0 || e.shares.sessions().Held() != 0 || e.shares.ledger.Places() != 0 {
					t.Errorf("after the end %d bytes, %d sessions and %d prefixes are left", e.shares.memory().Held(), e.shares.sessions().Held(), e.shares.ledger.Places())
				}
			})
		}
	}
}

// Those who hold much behind gaps, for so long that others are refused room, are closed
// at last, and they alone.
func TestHoardersAreClosed(t *testing.T) {
	const limit = 4 << 20
	e := newTestEngine(t, func(c *Config) { c.Shared = SharedLimits{Memory: limit, Share: 10, WideShare: 50} })
	honest := openSealed(t, e, netip.MustParseAddrPort("198.51.100.1:5000"), someCertificate(t, 0))
	honest.send(userData(nil, 2, 1, wire.FragmentWhole, []byte("hello")))
	var list []*sealed
	for i := range 30 {
		list = append(list, openSealed(t, e, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), 1000), someCertificate(t, 1+i)))
	}
	for round := range 14 {
		for _, p := range list {
			if p.session.Open() {
				p.hoard(2, 2, 100, wire.FragmentWhole, make([]byte, 1000))
			}
		}
		if round == 8 && e.stats.Relieved > 0 {
			t.Errorf("%d closed after 8 s", e.stats.Relieved)
		}
		e.Advance(e.now.Add(time.Second))
		e.Flush(func([]Datagram) {})
	}
	if st := e.Stats(); st.Relieved == 0 || st.Relieved == 30 || st.Memory > limit/8*refusableEighths || !honest.session.Open() {
		t.Errorf("%d closed, %d bytes held, the honest client's session open: %v", st.Relieved, st.Memory, honest.session.Open())
	}
	// A client that comes meanwhile gets a session and its flow.
	p := openSealed(t, e, netip.MustParseAddrPort("203.0.113.1:5000"), someCertificate(t, 99))
	delivered := e.FlowStats().MessagesDelivered
	p.send(userData(nil, 2, 1, wire.FragmentWhole, []byte("hello")))
	if e.FlowStats().MessagesDelivered != delivered+1 {
		t.Error("a new client cannot say anything")
	}
}

// refusableEighths is the part of the limit up to which anything is kept behind a gap.
const refusableEighths = 6

// joins asks for a session as a client would and checks whether it gets one.
func (e *Engine) joins(t *testing.T, addr netip.AddrPort, want bool) {
	t.Helper()
	id, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := id.BeginKeying(e.Identity().Certificate(), flash.Policy{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := e.stats
	e.Receive(e.now, e.keyingFrom(addr, wire.SessionID{2, 3, 4, 9}, id.Certificate().Raw(), k.Component()))
	for _, j := range e.TakeJobs() {
		j.Run()
		e.Finish(e.now, j)
	}
	e.Flush(func([]Datagram) {})
	if got := e.stats.Accepted > before.Accepted; got != want {
		t.Errorf("%v gets a session: %v, want %v; drops %v", addr, got, want, e.stats.Drops)
	}
}

// One prefix may have all places that nobody else wants, and no more than its share
// of the others.
func TestSharesOfSessions(t *testing.T) {
	const limit = 1000
	e := newTestEngine(t, func(c *Config) { c.Shared = SharedLimits{Sessions: limit, Share: 10, WideShare: 40} })
	n := 0
	open := func(addr netip.Addr, count int) {
		for range count {
			n++
			p := openSealed(t, e, netip.AddrPortFrom(addr, uint16(1000+n)), someCertificate(t, n))
			p.send(wire.Ping{}.Append(nil))
		}
	}
	at := func(a, b, c byte) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, a, b, c}), 6000)
	}
	open(netip.MustParseAddr("10.1.0.1"), 499)
	e.joins(t, at(1, 0, 2), true) // the 500th, far above 100
	open(netip.MustParseAddr("10.2.0.1"), 1)
	e.joins(t, at(1, 0, 3), false)
	e.joins(t, at(1, 1, 1), false) // its wide prefix has its share, too
	e.joins(t, at(3, 0, 1), true)
	if got := e.stats.Drops[DropShare]; got != 2 {
		t.Errorf("%d refused for their share", got)
	}
	// Nobody has used that one: after a second it gives way to its neighbour.
	e.now = e.now.Add(2 * time.Second)
	open(netip.MustParseAddr("10.3.0.1"), 99)
	e.joins(t, at(3, 0, 2), true)
	e.joins(t, at(3, 0, 3), false)
	open(netip.MustParseAddr("10.4.0.1"), 98)
	open(netip.MustParseAddr("10.5.0.1"), 98)
	open(netip.MustParseAddr("10.6.0.1"), 98)
	for e.shares.sessions().Held() < limit {
		open(netip.MustParseAddr("10.7.0.1"), 1)
	}
	// All places are taken; those that nobody uses give way to anybody.
	e.now = e.now.Add(2 * time.Second)
	e.joins(t, at(8, 0, 1), true)
	e.joins(t, at(8, 1, 1), true)
	e.joins(t, at(8, 2, 1), false)
	if st := e.Stats(); st.Sessions != limit || st.GaveWay != 3 {
		t.Errorf("%d sessions, %d gave way", st.Sessions, st.GaveWay)
	}
	// Without limits nobody is refused.
	e.SetSharedLimits(SharedLimits{})
	e.joins(t, at(1, 0, 4), true)
}

// What a message to many takes is bounded as well, before anybody is closed.
func TestMemoryForSending(t *testing.T) {
	const limit = 4 << 20
	e := newTestEngine(t, func(c *Config) { c.Shared = SharedLimits{Memory: limit} })
	var flows []*flow.SendFlow
	for i := range 200 {
		p := openSealed(t, e, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), 1000), someCertificate(t, i))
		p.send(wire.Ping{}.Append(nil))
		f, err := p.session.OpenFlow([]byte("m"), flow.SendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		flows = append(flows, f)
	}
	refused, most := 0, int64(0)
	for range 16 {
		for _, f := range flows {
			if f.Write(make([]byte, 60_000), flow.WriteOptions{}) == flow.ErrMemory {
				refused++
			}
		}
		most = max(most, e.shares.memory().Held())
		e.Flush(func([]Datagram) {})
	}
	if st := e.Stats(); most > limit+limit/8+65536 || refused == 0 || st.Relieved == 0 || st.Memory > limit {
		t.Errorf("%d bytes at most, %d refused, %d closed, %d bytes now", most, refused, st.Relieved, st.Memory)
	}
	// Nobody is closed below the limit; but for one who wants to get in, once a second.
	for _, f := range flows {
		if e.shares.memory().Held() > limit/16*15 {
			break
		}
		_ = f.Write(make([]byte, 60_000), flow.WriteOptions{})
	}
	closed := e.stats.Relieved
	e.Flush(func([]Datagram) {})
	if e.stats.Relieved != closed {
		t.Errorf("%d closed below the limit", e.stats.Relieved-closed)
	}
	e.joins(t, netip.MustParseAddrPort("203.0.113.9:6000"), true)
	if e.stats.Relieved == closed {
		t.Error("nobody was closed for it")
	}
	e.joins(t, netip.MustParseAddrPort("203.0.114.9:6000"), true)
}

// A session that moves counts where it is.
func TestMovedSessionCountsElsewhere(t *testing.T) {
	e := newTestEngine(t, func(c *Config) { c.Shared = SharedLimits{Memory: 1 << 20, Share: 10} })
	p := openSealed(t, e, netip.MustParseAddrPort("10.1.0.1:1000"), someCertificate(t, 1))
	p.send(wire.Ping{}.Append(nil))
	held := e.shares.memory().Held()
	p.session.addr = netip.MustParseAddrPort("10.2.0.1:1000")
	p.session.settle()
	if e.shares.memory().Held() != held || e.shares.ledger.Places() != 2 || p.session.home.Account(sharedMemory).Held() != held || p.session.home.Wide().Account(sharedSessions).Held() != 1 {
		t.Errorf("%d prefixes, %d bytes of %d, %d at home", e.shares.ledger.Places(), e.shares.memory().Held(), held, p.session.home.Account(sharedMemory).Held())
	}
}
