package memory

import (
	"net/netip"
	"testing"
	"time"

	"pileus/natprobe/lab"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
)

// machine is a host whose engine accepts every session.
type machine struct {
	engine *rtmfp.Engine
	addr   netip.AddrPort
	opened int
}

func (m *machine) Accept(*rtmfp.Session) rtmfp.SessionHandler { return m }
func (m *machine) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (m *machine) Opened(*rtmfp.Session)                      { m.opened++ }
func (m *machine) Moved(*rtmfp.Session)                       {}
func (m *machine) Closed(*rtmfp.Session, error)               {}
func (m *machine) Incoming(*rtmfp.Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{}, nil
}

func newMachine(t *testing.T, n *Network) *machine {
	t.Helper()
	id, err := flash.NewIdentity(flash.IdentityOptions{AcceptAncillary: true})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{}
	if m.engine, err = rtmfp.NewEngine(rtmfp.Config{Identity: id, Handler: m, KeyPool: -1}, n.Now()); err != nil {
		t.Fatal(err)
	}
	return m
}

// reaches reports whether a opens a session to b at an address, and after how long.
func reaches(t *testing.T, n *Network, a, b *machine, at netip.AddrPort) (bool, time.Duration) {
	t.Helper()
	s, err := a.engine.Open(rtmfp.Target{EPD: b.engine.Identity().Certificate().EPD(), Addrs: []netip.AddrPort{at}}, a)
	if err != nil {
		t.Fatal(err)
	}
	began := n.Now()
	return n.WaitUntil(time.Second/2, s.Open), n.Now().Sub(began)
}

// Hosts of one site reach each other at their own addresses unless something
// stands between them, at the public one only by hairpin.
func TestSites(t *testing.T) {
	for _, c := range []struct {
		kind         string
		own, outside bool // inside reaches inside; inside reaches a public host
	}{
		{"N4", true, true},
		{"N8", true, true},
		{"N9", true, true},
		{"N9f", false, true},
		{"N9s", false, true},
		{"N9c", false, true},
		{"N10", true, true},
		{"N10s", false, true},
		{"N10c", false, true},
		{"N5", true, true},
		{"N11", true, false},
	} {
		t.Run(c.kind, func(t *testing.T) {
			k, ok := lab.KindNamed(c.kind)
			if !ok {
				t.Fatal("no such kind")
			}
			n := New(time.Unix(1_700_000_000, 0))
			n.SetPath(Path{Delay: 20 * time.Millisecond})
			site, a, b, public := n.Site(k, 3, 1), newMachine(t, n), newMachine(t, n), newMachine(t, n)
			a.addr, b.addr = site.Attach(a.engine, 5000), site.Attach(b.engine, 5000)
			public.addr = netip.MustParseAddrPort("192.0.2.7:7000")
			n.Attach(n.Backbone(), public.engine, public.addr)
			if got, took := reaches(t, n, a, b, b.addr); got != c.own || got && took > time.Millisecond {
				t.Errorf("at its own address %v: %v after %v", b.addr, got, took)
			}
			if got, took := reaches(t, n, a, public, public.addr); got != c.outside || got && took != 80*time.Millisecond {
				t.Errorf("a public host: %v after %v", got, took)
			}
			if got, _ := reaches(t, n, public, a, a.addr); got {
				t.Error("a public host reaches a private address")
			}
		})
	}
}

func TestFirewalledHostKeepsItsAddress(t *testing.T) {
	k, _ := lab.KindNamed("N1")
	n := New(time.Unix(1_700_000_000, 0))
	a, b := newMachine(t, n), newMachine(t, n)
	a.addr, b.addr = n.Site(k, 1, 1).Attach(a.engine, 5000), netip.MustParseAddrPort("192.0.2.7:7000")
	n.Attach(n.Backbone(), b.engine, b.addr)
	if got, _ := reaches(t, n, b, a, a.addr); got {
		t.Error("the firewall lets strangers in")
	}
	var seen netip.AddrPort
	n.Watch(func(from, to netip.AddrPort, _ []byte) {
		if from == b.addr {
			seen = to
		}
	})
	if got, _ := reaches(t, n, a, b, b.addr); !got || seen != a.addr {
		t.Errorf("open %v, answered to %v, want %v", got, seen, a.addr)
	}
}

func TestCutAndLoss(t *testing.T) {
	n := New(time.Unix(1_700_000_000, 0))
	a, b := newMachine(t, n), newMachine(t, n)
	a.addr, b.addr = netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:1")
	n.Attach(n.Backbone(), a.engine, a.addr)
	n.Attach(n.Backbone(), b.engine, b.addr)
	n.SetPath(Path{Lose: func() bool { return true }})
	if got, _ := reaches(t, n, a, b, b.addr); got {
		t.Error("packets arrive where all are lost")
	}
	n.SetPath(Path{})
	if got, took := reaches(t, n, a, b, b.addr); !got || took != 0 {
		t.Errorf("open %v after %v", got, took)
	}
	n.Cut(b.engine)
	n.Cut(b.engine)
	if got, _ := reaches(t, n, a, b, b.addr); got {
		t.Error("a host that is cut off answers")
	}
}
