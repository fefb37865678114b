package prober_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/lab"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// network is one host behind NATs, and a server. It runs in a synctest bubble.
type network struct {
	mu      sync.Mutex
	host    netip.Addr
	chain   []*lab.NAT
	server  binding.Server
	serves  func(netip.AddrPort) bool
	drops   func(nth int) bool // of the server's answers, beside loss
	answers func([]byte) []byte
	odd     odd // answers in the server's place
	asked   int
	others  float64 // flows that others behind the first NAT begin for each packet
	keeps   int     // destinations that see a socket's one port; 0: all
	seenBy  map[netip.AddrPort][]netip.AddrPort
	loss    float64
	rand    *rand.Rand
	conns   map[netip.AddrPort]*conn
	next    uint16
}

const (
	oneWay = 20 * time.Millisecond
	carol  = "100.64.0.1" // the public side of the inner of two NATs
)

var (
	public = netip.MustParseAddr("198.51.100.1")
	main   = netip.AddrPortFrom(lab.FirstNodeAddress, 3478)
)

func newNetwork(k lab.Kind, two bool, loss float64, seed uint64) *network {
	n := &network{
		host: public, loss: loss, rand: rand.New(rand.NewPCG(seed, 2)), next: 40000,
		conns:  make(map[netip.AddrPort]*conn),
		server: binding.Server{Addrs: []netip.Addr{lab.FirstNodeAddress}, Ports: [2]uint16{3478, 3479}},
	}
	if two {
		n.server.Addrs = append(n.server.Addrs, lab.SecondNodeAddress)
	}
	for i, b := range k.Chain {
		b.Seed = seed
		if b.Mapping != lab.NoTranslation {
			n.host = netip.MustParseAddr("192.168.1.2")
			b.Public = []netip.Addr{public}
			if i < len(k.Chain)-1 {
				b.Public = []netip.Addr{netip.MustParseAddr(carol)}
			}
		}
		n.chain = append(n.chain, lab.NewNAT(b))
	}
	return n
}

func (n *network) listen() (net.PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next += uint16(1 + n.rand.IntN(100))
	c := &conn{n: n, local: netip.AddrPortFrom(n.host, n.next), in: make(chan datagram, 64), done: make(chan struct{})}
	n.conns[c.local] = c
	return c, nil
}

func (n *network) lost() bool { return n.rand.Float64() < n.loss }

// out takes a packet of the host's through the NATs.
func (n *network) out(p lab.Packet, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.chain) > 0 && n.rand.Float64() < n.others {
		neighbour := netip.AddrPortFrom(n.host.Next(), uint16(1024+n.rand.IntN(60000)))
		n.chain[0].Outbound(time.Now(), lab.Packet{Src: neighbour, Dst: netip.MustParseAddrPort("203.0.113.99:9")})
	}
	for i, nat := range n.chain {
		var fate lab.Fate
		p, fate = nat.Outbound(time.Now(), p)
		switch {
		case fate.Dropped():
			return
		case fate == lab.ToInside:
			n.in(i, p, data)
			return
		}
	}
	if p.Dst.Addr() == n.host {
		n.in(0, p, data)
		return
	}
	if n.lost() {
		return
	}
	time.AfterFunc(oneWay, func() { n.serve(p, data) })
}

func (n *network) serve(p lab.Packet, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.odd != nil {
		n.asked++
		for _, r := range n.odd(n, question{data, p.Src, p.Dst, n.asked}) {
			to := r.to
			if !to.IsValid() {
				to = p.Src
			}
			time.AfterFunc(oneWay+r.after, func() {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.in(len(n.chain), lab.Packet{Src: r.from, Dst: to}, r.data)
			})
		}
		return
	}
	own := false
	for _, a := range n.server.Addrs {
		own = own || a == p.Dst.Addr()
	}
	if !own || n.serves != nil && !n.serves(p.Dst) {
		return
	}
	n.asked++
	r, ok := n.server.Respond(data, n.symmetric(p), p.Dst)
	if n.keeps > 0 {
		r.To = p.Src
	}
	if !ok || n.lost() || n.drops != nil && n.drops(n.asked) {
		return
	}
	if n.answers != nil {
		r.Data = n.answers(r.Data)
	}
	time.AfterFunc(oneWay, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.in(len(n.chain), lab.Packet{Src: r.From, Dst: r.To}, r.Data)
	})
}

// symmetric is the source that a destination sees, where the NAT keeps one port for
// the first ones alone. Answers still find their way.
func (n *network) symmetric(p lab.Packet) netip.AddrPort {
	if n.keeps == 0 {
		return p.Src
	}
	if n.seenBy == nil {
		n.seenBy = make(map[netip.AddrPort][]netip.AddrPort)
	}
	known := n.seenBy[p.Src]
	i := slices.Index(known, p.Dst)
	if i < 0 {
		i = len(known)
		n.seenBy[p.Src] = append(known, p.Dst)
	}
	if i < n.keeps {
		return p.Src
	}
	return netip.AddrPortFrom(p.Src.Addr(), uint16(20000+i*7))
}

// in takes a packet inside through the NATs below the i-th.
func (n *network) in(i int, p lab.Packet, data []byte) {
	for i--; i >= 0; i-- {
		var fate lab.Fate
		outside := p.Dst
		if p, fate = n.chain[i].Inbound(time.Now(), p); fate.Dropped() {
			return
		}
		if n.chain[i].Behavior().ALG {
			lab.Mangle(data, outside, p.Dst)
		}
	}
	if c := n.conns[p.Dst]; c != nil {
		select {
		case c.in <- datagram{p.Src, data}:
		default:
		}
	}
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

type conn struct {
	n     *network
	local netip.AddrPort
	in    chan datagram
	done  chan struct{}
}

func (c *conn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-c.in:
		return copy(b, d.data), net.UDPAddrFromAddrPort(d.from), nil
	case <-c.done:
		return 0, nil, io.EOF
	}
}

func (c *conn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.n.out(lab.Packet{Src: c.local, Dst: to.(*net.UDPAddr).AddrPort()}, append([]byte(nil), b...))
	return len(b), nil
}

func (c *conn) Close() error                     { close(c.done); return nil }
func (c *conn) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(c.local) }
func (c *conn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *conn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *conn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

func run(t *testing.T, n *network, server netip.AddrPort) (r report.Report, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r, err = prober.Run(t.Context(), prober.Config{Server: server, Listen: n.listen})
		took = time.Since(began)
	})
	return r, took, err
}

var wants = map[string]struct {
	class  natprobe.Class
	direct natprobe.Answer
}{
	"N0":  {natprobe.Public, natprobe.Yes},
	"N1":  {natprobe.Firewall, natprobe.Yes},
	"N2":  {natprobe.FullCone, natprobe.Yes},
	"N3":  {natprobe.AddressRestricted, natprobe.Yes},
	"N4":  {natprobe.PortRestricted, natprobe.Yes},
	"N4i": {natprobe.PortRestricted, natprobe.Yes},
	"N5":  {natprobe.SymmetricRandom, natprobe.No},
	"N6":  {natprobe.SymmetricStepping, natprobe.Yes},
	"N7":  {natprobe.SymmetricOpenFilter, natprobe.No},
	"N8":  {natprobe.PortRestricted, natprobe.Yes},
	"N12": {natprobe.SymmetricRandom, natprobe.No},
}

// With two server addresses every kind is named; amid loss, named or unknown.
func TestKinds(t *testing.T) {
	for name, want := range wants {
		for _, loss := range []float64{0, 0.1} {
			t.Run(fmt.Sprintf("%s/loss=%v", name, loss), func(t *testing.T) {
				kind, ok := lab.KindNamed(name)
				if !ok {
					t.Fatal("no such kind")
				}
				const rounds = 50
				right := 0
				for seed := range uint64(rounds) {
					r, took, err := run(t, newNetwork(kind, true, loss, seed), main)
					if err != nil {
						t.Fatal(err)
					}
					switch {
					case r.Class == want.class && r.Direct == want.direct:
						right++
					case r.Class != natprobe.ClassUnknown && r.Class != want.class, r.Direct != natprobe.Unknown && r.Direct != want.direct:
						t.Errorf("seed %d: %v, %v: %+v", seed, r.Class, r.Direct, r.Behavior)
					}
					if loss == 0 && took > 4*time.Second {
						t.Errorf("took %v", took)
					}
				}
				if share := map[float64]int{0: rounds - 1, 0.1: rounds * 3 / 4}[loss]; right < share {
					t.Errorf("%d of %d right", right, rounds)
				}
			})
		}
	}
}

// One server address tells exactly what it can.
func TestOneServerAddress(t *testing.T) {
	for name, want := range map[string]natprobe.Mapping{
		"N0": natprobe.MappingNotAPDM, "N1": natprobe.MappingNotAPDM, "N2": natprobe.MappingNotAPDM,
		"N4": natprobe.MappingNotAPDM, "N5": natprobe.APDM, "N6": natprobe.APDM, "N7": natprobe.APDM,
	} {
		kind, _ := lab.KindNamed(name)
		r, _, err := run(t, newNetwork(kind, false, 0, 1), main)
		if err != nil {
			t.Fatal(err)
		}
		if r.Behavior.Mapping != want || r.Behavior.Filtering != natprobe.FilteringUnknown || r.Class != natprobe.ClassUnknown || len(r.Runs[0].Notes) == 0 {
			t.Errorf("%s: %s, %+v %q", name, r.Verdict, r.Behavior, r.Runs[0].Notes)
		}
	}
}

func TestNoUDP(t *testing.T) {
	kind, _ := lab.KindNamed("N11")
	n := newNetwork(kind, true, 0, 1)
	r, _, err := run(t, n, main)
	if !errors.Is(err, prober.ErrNoAnswer) || !r.NoUDP || r.Direct != natprobe.No {
		t.Errorf("%v %+v", err, r)
	}
	r, _, err = run(t, n, netip.AddrPortFrom(lab.FirstNodeAddress, 1935))
	if err != nil || r.NoUDP || r.Class != natprobe.ClassUnknown {
		t.Errorf("on port 1935: %v %+v", err, r)
	}
}

func TestHairpin(t *testing.T) {
	for name, want := range map[string]natprobe.Answer{"N4": natprobe.No, "N10": natprobe.Yes, "N5": natprobe.Unknown, "N0": natprobe.Yes} {
		kind, _ := lab.KindNamed(name)
		r, _, err := run(t, newNetwork(kind, true, 0, 1), main)
		if err != nil || r.Behavior.Hairpin.Answer != want {
			t.Errorf("%s: %v %+v", name, err, r.Behavior.Hairpin)
		}
	}
}

// Nothing but the answers to the second socket's first questions is lost: it is asked once
// more, for all of filtering and hairpin follows from it.
func TestSecondSocketIsAskedOnceMore(t *testing.T) {
	kind, _ := lab.KindNamed("N4")
	n := newNetwork(kind, true, 0, 1)
	const before = 2 // answers: the server is there, and still is
	n.drops = func(nth int) bool { return nth > before && nth <= before+natprobe.MinTries }
	r, _, err := run(t, n, main)
	if err != nil || r.Behavior.Hairpin.Answer != natprobe.No || r.Behavior.Class() != natprobe.PortRestricted {
		t.Errorf("%v, %v, hairpin %+v", err, r.Behavior.Class(), r.Behavior.Hairpin)
	}
}

// A server whose second address is dead says nothing about filters.
func TestBrokenAlternate(t *testing.T) {
	kind, _ := lab.KindNamed("N0")
	n := newNetwork(kind, true, 0, 1)
	n.serves = func(a netip.AddrPort) bool { return a == main }
	n.chain = []*lab.NAT{lab.NewNAT(lab.Behavior{Filtering: lab.AddressAndPortDependentFiltering})}
	r, _, err := run(t, n, main)
	if err != nil || r.Behavior.Filtering != natprobe.FilteringUnknown || r.Behavior.Mapping != natprobe.MappingUnknown || r.Class != natprobe.ClassUnknown {
		t.Errorf("%v %+v", err, r.Behavior)
	}
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kind, _ := lab.KindNamed("N4")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := prober.Run(ctx, prober.Config{Server: main, Listen: newNetwork(kind, true, 0, 1).listen})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
