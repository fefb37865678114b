package strategy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/natprobe/lab"
	"pileus/rtmfp/wire"
)

// The lab's NATs, and two endpoints that start up as RTMFP does: the plan is
// carried out packet by packet.

const hop = 10 * time.Millisecond // from a host to the middle, or back

type message struct {
	kind string // IHello, RHello, IIKeying, RIKeying; FIHello and Redirect with an address
	addr netip.AddrPort
}

type event struct {
	at   time.Time
	what func()
}

type world struct {
	now    time.Time
	events []event
	hosts  []*labHost
	probed func(h *labHost, seen netip.AddrPort) // the answer to a fresh FIHello
}

type labHost struct {
	w      *world
	inside netip.AddrPort
	chain  []*lab.NAT
	far    netip.AddrPort // initiator: where the first RHello came from
	done   bool           // RIKeying came
	others int
}

func (w *world) after(d time.Duration, f func()) {
	w.events = append(w.events, event{w.now.Add(d), f})
}

// run carries events out in order; those of one instant as they came.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		slices.SortStableFunc(w.events, func(a, b event) int { return a.at.Compare(b.at) })
		if len(w.events) == 0 || w.events[0].at.After(end) {
			w.now = end
			return
		}
		e := w.events[0]
		w.events = w.events[1:]
		w.now = e.at
		e.what()
	}
}

func (w *world) host(k lab.Kind, i int) *labHost {
	h := &labHost{w: w, inside: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 2}), 40000)}
	if len(k.Chain) == 0 || k.Chain[0].Mapping == lab.NoTranslation {
		h.inside = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 40000)
	}
	for j, b := range k.Chain {
		if b.Mapping != lab.NoTranslation {
			b.Public = []netip.Addr{netip.AddrFrom4([4]byte{203, 0, byte(113 + j), byte(i)})}
		}
		b.Seed = uint64(i*10 + j)
		h.chain = append(h.chain, lab.NewNAT(b))
	}
	w.hosts = append(w.hosts, h)
	return h
}

// out takes a packet through the host's NATs.
func (h *labHost) out(from, to netip.AddrPort) (lab.Packet, bool) {
	p := lab.Packet{Src: from, Dst: to}
	for _, n := range h.chain {
		var fate lab.Fate
		if p, fate = n.Outbound(h.w.now, p); fate != lab.ToOutside {
			return p, false
		}
	}
	return p, true
}

func (h *labHost) send(to netip.AddrPort, m message) {
	p, ok := h.out(h.inside, to)
	if !ok {
		return
	}
	if to.Addr() == nodeMain.Addr() {
		h.w.after(2*hop, func() { h.w.probed(h, p.Src) })
		return
	}
	h.w.after(2*hop, func() {
		for _, far := range h.w.hosts {
			p := p
			in := true
			for i := len(far.chain) - 1; i >= 0 && in; i-- {
				var fate lab.Fate
				p, fate = far.chain[i].Inbound(h.w.now, p)
				in = fate == lab.ToInside
			}
			if in && p.Dst == far.inside {
				far.receive(p.Src, m)
			}
		}
	})
}

func (h *labHost) receive(from netip.AddrPort, m message) {
	switch m.kind {
	case "FIHello":
		h.send(m.addr, message{kind: "RHello"})
	case "Redirect":
		h.send(m.addr, message{kind: "IHello"})
	case "IHello":
		h.send(from, message{kind: "RHello"})
	case "RHello":
		if !h.far.IsValid() {
			h.far = from
			h.send(from, message{kind: "IIKeying"})
		}
	case "IIKeying":
		h.send(from, message{kind: "RIKeying"})
	case "RIKeying":
		h.done = true
	}
}

// disturb lets another host open a flow through the outer NAT.
func (h *labHost) disturb() {
	h.others++
	other := netip.AddrPortFrom(netip.MustParseAddr("10.0.99.9"), uint16(10000+h.others))
	if n := len(h.chain); n > 0 {
		h.chain[n-1].Outbound(h.w.now, lab.Packet{Src: other, Dst: netip.MustParseAddrPort("192.0.2.200:53")})
	}
}

// order is what the node sends to a host; it gets there in this order.
func (h *labHost) order(kind string, addrs []wire.Address) {
	for _, a := range addrs {
		h.w.after(2*hop, func() { h.receive(netip.AddrPort{}, message{kind, a.AddrPort}) })
	}
}

// meetInLab introduces a to b, while others open flows through both NATs, so many a second. It
// returns the first plan and whether they met.
func meetInLab(a, b lab.Kind, flows float64, seed uint64) (Plan, bool) {
	w := &world{now: time.Unix(1_700_000_000, 0)}
	rnd := rand.New(rand.NewPCG(seed, 1))
	initiator, target := w.host(a, 1), w.host(b, 2)
	var p Pair
	sides := []*Side{&p.Initiator, &p.Target}
	for i, h := range w.hosts {
		seen, _ := h.out(h.inside, nodeMain)
		s := sides[i]
		*s = Side{Behavior: behaviorOf([]lab.Kind{a, b}[i].Name), Observed: seen.Src, At: nodeMain}
		if flows > 0 {
			var next func()
			next = func() {
				h.disturb()
				w.after(time.Duration(rnd.ExpFloat64()/flows*float64(time.Second)), next)
			}
			next()
		}
	}
	w.run(time.Duration(rnd.Float64() * float64(100*time.Millisecond)))
	first := Decide(p)
	answers := 0
	w.probed = func(h *labHost, seen netip.AddrPort) {
		s := sides[slices.Index(w.hosts, h)]
		s.Next = seen
		if answers++; answers == 1 && first.Aim == AimInitiator|AimTarget {
			return
		}
		second := Decide(p)
		initiator.order("Redirect", second.Redirects)
		target.order("FIHello", second.Replies)
	}
	fresh := []wire.Address{{AddrPort: netip.AddrPortFrom(nodeMain.Addr(), 1943)}}
	if first.Aim&AimInitiator != 0 {
		p.Initiator.Named = len(first.Redirects)
		initiator.order("FIHello", fresh)
	}
	if first.Aim&AimTarget != 0 {
		p.Target.Named = len(first.Replies)
		target.order("FIHello", fresh)
	}
	initiator.order("Redirect", first.Redirects)
	if first.HoldReplies {
		target.order("FIHello", first.Opening)
	} else {
		target.order("FIHello", first.Replies)
	}
	for range first.Pace.Times {
		w.run(first.Pace.Interval)
		initiator.order("Redirect", first.Redirects)
		target.order("FIHello", first.Replies)
	}
	w.run(time.Second)
	return first, initiator.done
}

// What Decide calls direct meets, and what it calls a relay's does not: the rule
// holds of NATs that know nothing of it. What too little is known of may do either.
func TestRuleHoldsInTheLab(t *testing.T) {
	met, pairs := 0, 0
	for _, a := range lab.Kinds() {
		for _, b := range lab.Kinds() {
			if a.Hosts > 1 || b.Hosts > 1 || a.HasIPv6 || b.HasIPv6 {
				continue
			}
			pairs++
			plan, ok := meetInLab(a, b, 0, 1)
			switch path := Between(behaviorOf(a.Name), behaviorOf(b.Name)).Path; path {
			case PathDirect, PathRelay:
				if ok != (path == PathDirect) || plan.NeedsRelay != (path == PathRelay) {
					t.Errorf("%s to %s: met: %v, by %v, needs a relay: %v: %s", a.Name, b.Name, ok, plan.Strategy, plan.NeedsRelay, plan.Why)
				}
			case PathUnsure, PathNone:
			}
			if ok {
				met++
			}
		}
	}
	if pairs != 21*21 || met != 240 {
		t.Errorf("%d of %d pairs met", met, pairs)
	}
}

func TestPredictionAmongOtherFlows(t *testing.T) {
	n4, _ := lab.KindNamed("N4")
	n6, _ := lab.KindNamed("N6")
	for _, c := range []struct {
		a, b  lab.Kind
		flows float64
		least int
	}{
		{n4, n6, 5, 90},
		{n4, n6, 20, 90},
		{n6, n4, 5, 90},
		{n6, n4, 20, 90},
		{n6, n6, 5, 90},
		{n6, n6, 20, 90},
	} {
		t.Run(fmt.Sprintf("%s-%s-%v", c.a.Name, c.b.Name, c.flows), func(t *testing.T) {
			const tries = 200
			met := 0
			for seed := range uint64(tries) {
				if _, ok := meetInLab(c.a, c.b, c.flows, seed); ok {
					met++
				}
			}
			if met*100 < c.least*tries {
				t.Errorf("%d of %d met", met, tries)
			}
			t.Logf("%d of %d met", met, tries)
		})
	}
}
