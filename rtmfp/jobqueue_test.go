package rtmfp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// This end's own work comes first, and in a full queue whoever has most gives way: how it
// goes round is tested in package share.
func TestJobQueue(t *testing.T) {
	var q jobQueue
	lost := map[string]int{}
	ask := func(name, addr string) {
		q.ask(time.Time{}, netip.MustParseAddr(addr), &Job{cancel: func() { lost[name]++ }})
	}
	for i := range 3000 {
		ask("crowd", fmt.Sprintf("10.%d.%d.1", i%5, i%250))
	}
	for i := range 3000 {
		ask("flood", fmt.Sprintf("2001:db8:%x:%x00::1", i%7, i%256))
	}
	for i := range 100 {
		ask("one", fmt.Sprintf("172.%d.0.1", i))
	}
	if lost["one"] != 0 || lost["crowd"] != 0 || lost["flood"] != 2004 || q.others.Len() != maxKeyings {
		t.Errorf("lost %v, %d wait", lost, q.others.Len())
	}
	own := &Job{}
	q.own = append(q.own, own)
	if q.next() != own {
		t.Error("this end's own work waits for strangers'")
	}
	n := 0
	for q.next() != nil {
		n++
	}
	if n != maxKeyings {
		t.Errorf("%d jobs handed out", n)
	}
}

// keyingFrom is an IIKeying with a good cookie.
func (e *Engine) keyingFrom(addr netip.AddrPort, id wire.SessionID, certificate, component []byte) Datagram {
	sealer, _ := flash.NewStartup()
	b := wire.IIKeying{
		SessionID: id, Cookie: e.cookies.append(nil, e.now, addr), Certificate: certificate, Component: component, Signature: signature,
	}.Append(wire.Header{Mode: wire.ModeStartup}.Append(sealer.Begin(nil)))
	return Datagram{Local: netip.MustParseAddrPort("192.0.2.1:1935"), Peer: addr, Data: sealer.Finish(b, wire.SessionID{})}
}

// joiner is a client that wants a session, in a time of the test's own.
type joiner struct {
	datagram Datagram
	at       time.Time // when its IIKeying arrived first
	repeat   int
	waited   time.Duration
	done     bool
}

// repeats are those of RFC 7016 3.5.1.1.1, after the first.
var repeats = []time.Duration{time.Second, 3500 * time.Millisecond, 7500 * time.Millisecond}

// flooded joins honest clients, one every 20 ms, while somebody else sends rate IIKeyings a
// second from where from says. One worker takes cost for a job, as group 14 takes it.
// It returns how long the joins took, sorted.
func flooded(t *testing.T, from func(r *rand.Rand) netip.Addr, honest func(i int) netip.Addr, rate int) (waited []time.Duration) {
	t.Helper()
	const (
		cost = 620 * time.Microsecond
		last = 3 * time.Second
		tick = 200 * time.Microsecond
	)
	e := newTestEngine(t)
	start := e.now
	r := rand.New(rand.NewPCG(1, 2))
	garbage := make([]byte, 290) // a certificate of 256 random bytes, and the rest
	var joiners []*joiner
	answered := map[netip.AddrPort]*joiner{}
	var job *Job
	var ready time.Time
	sent := 0
	id, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for now := start; now.Before(start.Add(last + 8*time.Second)); now = now.Add(tick) {
		e.Advance(now)
		flooding := now.Sub(start) < last+2*time.Second
		for ; flooding && sent < int(now.Sub(start).Seconds()*float64(rate)); sent++ {
			for i := range garbage[4:] {
				garbage[4+i] = byte(r.Uint32())
			}
			cert := wire.AppendOption(nil, 0x1d, append([]byte{14}, garbage[4:260]...))
			// That the component is none ends the work early here; it takes its time all the same.
			e.Receive(now, e.keyingFrom(netip.AddrPortFrom(from(r), uint16(1024+r.IntN(60000))), wire.SessionID{1, byte(sent), byte(sent >> 8), 9}, cert, garbage[:20]))
		}
		if i := int(now.Sub(start) / (20 * time.Millisecond)); i >= len(joiners) && now.Sub(start) < last {
			k, err := id.BeginKeying(e.Identity().Certificate(), flash.Policy{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			addr := netip.AddrPortFrom(honest(i), 5000)
			j := &joiner{at: now, datagram: e.keyingFrom(addr, wire.SessionID{2, byte(i), byte(i >> 8), 9}, id.Certificate().Raw(), k.Component())}
			joiners, answered[addr] = append(joiners, j), j
			e.Receive(now, Datagram{Local: j.datagram.Local, Peer: addr, Data: slices.Clone(j.datagram.Data)})
		}
		for _, j := range joiners {
			if !j.done && j.repeat < len(repeats) && now.Sub(j.at) >= repeats[j.repeat] {
				j.repeat++
				e.Receive(now, Datagram{Local: j.datagram.Local, Peer: j.datagram.Peer, Data: slices.Clone(j.datagram.Data)})
			}
		}
		for job != nil && !ready.After(now) {
			job.Run()
			e.Finish(now, job)
			if job = e.NextJob(); job != nil {
				ready = ready.Add(cost)
			}
		}
		if job == nil {
			if job = e.NextJob(); job != nil {
				ready = now.Add(cost)
			}
		}
		e.Flush(func(out []Datagram) {
			for _, d := range out {
				if j := answered[d.Peer]; j != nil && !j.done {
					j.done, j.waited = true, now.Sub(j.at)
				}
			}
		})
	}
	for _, j := range joiners {
		if !j.done {
			j.waited = time.Hour
		}
		waited = append(waited, j.waited)
	}
	slices.Sort(waited)
	st := e.Stats()
	t.Logf("%d sent, %d busy, %d joins: half after %v, 99 %% after %v, all after %v", sent, st.Drops[DropBusy], len(waited),
		waited[len(waited)/2], waited[len(waited)*99/100], waited[len(waited)-1])
	return waited
}

// 20 Mbit/s of IIKeyings with random certificates cost honest clients half a second at
// most, from however many addresses they come.
func TestFloodOfKeyings(t *testing.T) {
	own := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{100, byte(i), byte(i >> 8), 1}) }
	v6 := func(a, b, c, d byte) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, a, b, c, 15: d})
	}
	for name, c := range map[string]struct {
		from   func(r *rand.Rand) netip.Addr
		honest func(i int) netip.Addr
	}{
		"one /24":           {func(r *rand.Rand) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(r.Uint32())}) }, own},
		"256 /24s of a /16": {func(r *rand.Rand) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(r.Uint32()), 1}) }, own},
		"256 /24s":          {func(r *rand.Rand) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(r.Uint32()), 0, 1}) }, own},
		"256 /24s, and all honest ones are of one network": {
			func(r *rand.Rand) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(r.Uint32()), 0, 1}) },
			func(i int) netip.Addr { return netip.AddrFrom4([4]byte{100, 64, byte(i), 1}) },
		},
		"a /48":        {func(r *rand.Rand) netip.Addr { return v6(1, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())) }, own},
		"a /48 beside": {func(r *rand.Rand) netip.Addr { return v6(1, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())) }, func(i int) netip.Addr { return v6(2, byte(i), byte(i>>8), 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waited := flooded(t, c.from, c.honest, 5000)
			if p99 := waited[len(waited)*99/100]; p99 > 500*time.Millisecond {
				t.Errorf("99 %% of the joins took up to %v", p99)
			}
		})
	}
}

// Two thousand that join at once from one prefix all get in: nobody else wants the
// places.
func TestSchoolJoins(t *testing.T) {
	e := newTestEngine(t)
	id, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		k, err := id.BeginKeying(e.Identity().Certificate(), flash.Policy{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i % 3)}), uint16(2000+i))
		e.Receive(e.now, e.keyingFrom(addr, wire.SessionID{2, byte(i), byte(i >> 8), 9}, id.Certificate().Raw(), k.Component()))
	}
	for _, j := range e.TakeJobs() {
		j.Run()
		e.Finish(e.now, j)
	}
	if st := e.Stats(); st.Sessions != 2000 {
		t.Errorf("%d of 2,000 got in, drops %v", st.Sessions, st.Drops)
	}
}

// While more than half of the places are taken, each prefix has its ration.
func TestKeyingsAreRationed(t *testing.T) {
	e := newTestEngine(t)
	id, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := id.BeginKeying(e.Identity().Certificate(), flash.Policy{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(addr netip.Addr, port int) {
		e.Receive(e.now, e.keyingFrom(netip.AddrPortFrom(addr, uint16(port)), wire.SessionID{2, 3, 4, 9}, id.Certificate().Raw(), k.Component()))
	}
	for i := range maxKeyings/2 + 1 {
		e.jobs.ask(e.now, netip.AddrFrom4([4]byte{100, byte(i), byte(i >> 8), 1}), &Job{})
	}
	before := e.jobs.others.Len()
	for i := range 300 {
		ask(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 5000+i)
	}
	if n := e.jobs.others.Len() - before; n != defaultHandshakeBurst || e.stats.Drops[DropRate] != 100 {
		t.Errorf("%d more, want the burst of %d; drops %v", n, defaultHandshakeBurst, e.stats.Drops)
	}
	e.now = e.now.Add(time.Second)
	for i := range 300 {
		ask(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 6000+i)
	}
	if n := e.jobs.others.Len() - before; n != defaultHandshakeBurst+defaultHandshakeRate {
		t.Errorf("%d more after a second", n)
	}
}
