package lab_test

import (
	"net/netip"
	"testing"
	"time"

	"pileus/natprobe/lab"
)

var (
	epoch  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	public = netip.MustParseAddr("192.0.2.1")
	host   = netip.MustParseAddrPort("10.0.0.2:5000")
	other  = netip.MustParseAddrPort("10.0.0.3:5000")
	// A server with two addresses and two ports.
	s11 = netip.MustParseAddrPort("198.51.100.1:1")
	s12 = netip.MustParseAddrPort("198.51.100.1:2")
	s21 = netip.MustParseAddrPort("198.51.100.2:1")
)

func nat(b lab.Behavior) *lab.NAT {
	b.Public = []netip.Addr{public}
	return lab.NewNAT(b)
}

// send is the source that a packet leaves with.
func send(t *testing.T, n *lab.NAT, at time.Duration, from, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	p, fate := n.Outbound(epoch.Add(at), lab.Packet{Src: from, Dst: to})
	if fate != lab.ToOutside {
		t.Fatalf("%v to %v: fate %d", from, to, fate)
	}
	if p.Dst != to {
		t.Fatalf("%v to %v left for %v", from, to, p.Dst)
	}
	return p.Src
}

// passes reports whether a packet comes in, and checks that it goes to host.
func passes(t *testing.T, n *lab.NAT, at time.Duration, from, to netip.AddrPort) bool {
	t.Helper()
	p, fate := n.Inbound(epoch.Add(at), lab.Packet{Src: from, Dst: to})
	if fate == lab.ToInside && (p.Dst != host || p.Src != from) {
		t.Fatalf("%v to %v came in as %v to %v", from, to, p.Src, p.Dst)
	}
	return fate == lab.ToInside
}

func TestMapping(t *testing.T) {
	for _, test := range []struct {
		m                       lab.Mapping
		samePort, sameOtherAddr bool
	}{
		{lab.EndpointIndependentMapping, true, true},
		{lab.AddressDependentMapping, true, false},
		{lab.AddressAndPortDependentMapping, false, false},
	} {
		n := nat(lab.Behavior{Mapping: test.m, Allocation: lab.RandomPort, Seed: 1})
		first := send(t, n, 0, host, s11)
		if first.Addr() != public {
			t.Errorf("%v: left from %v", test.m, first)
		}
		if again := send(t, n, 1, host, s11); again != first {
			t.Errorf("%v: the same destination saw %v and %v", test.m, first, again)
		}
		if same := send(t, n, 2, host, s12) == first; same != test.samePort {
			t.Errorf("%v: another port saw the same: %v", test.m, same)
		}
		if same := send(t, n, 3, host, s21) == first; same != test.sameOtherAddr {
			t.Errorf("%v: another address saw the same: %v", test.m, same)
		}
	}
}

func TestFiltering(t *testing.T) {
	for _, test := range []struct {
		f                    lab.Filtering
		otherPort, otherAddr bool
	}{
		{lab.EndpointIndependentFiltering, true, true},
		{lab.AddressDependentFiltering, true, false},
		{lab.AddressAndPortDependentFiltering, false, false},
	} {
		for _, m := range []lab.Mapping{lab.EndpointIndependentMapping, lab.AddressDependentMapping, lab.AddressAndPortDependentMapping} {
			n := nat(lab.Behavior{Mapping: m, Filtering: test.f})
			if passes(t, n, 0, s11, netip.AddrPortFrom(public, host.Port())) {
				t.Errorf("%v/%v: a packet came in before there was a mapping", m, test.f)
			}
			at := send(t, n, 0, host, s11)
			if !passes(t, n, 1, s11, at) {
				t.Errorf("%v/%v: no answer came in", m, test.f)
			}
			if got := passes(t, n, 1, s12, at); got != test.otherPort {
				t.Errorf("%v/%v: from another port: %v", m, test.f, got)
			}
			if got := passes(t, n, 1, s21, at); got != test.otherAddr {
				t.Errorf("%v/%v: from another address: %v", m, test.f, got)
			}
		}
	}
}

func TestAllocation(t *testing.T) {
	t.Run("preserving", func(t *testing.T) {
		n := nat(lab.Behavior{Mapping: lab.EndpointIndependentMapping})
		if got := send(t, n, 0, host, s11).Port(); got != host.Port() {
			t.Errorf("the port became %d", got)
		}
		if got := send(t, n, 0, other, s11).Port(); got == host.Port() {
			t.Error("two hosts have one port")
		}
	})
	t.Run("stepping", func(t *testing.T) {
		n := nat(lab.Behavior{Mapping: lab.AddressAndPortDependentMapping, Allocation: lab.StepPort, Step: 2, Ports: [2]uint16{2000, 2005}})
		last := send(t, n, 0, host, s11).Port()
		for _, to := range []netip.AddrPort{s12, s21} {
			want := 2000 + (last+2-2000)%6
			if got := send(t, n, 0, host, to).Port(); got != want {
				t.Errorf("after %d came %d, want %d", last, got, want)
			}
			last = want
		}
	})
	t.Run("random", func(t *testing.T) {
		n := nat(lab.Behavior{Mapping: lab.AddressAndPortDependentMapping, Allocation: lab.RandomPort, Ports: [2]uint16{3000, 3511}})
		seen := make(map[uint16]bool)
		for i := range 100 {
			p := send(t, n, 0, host, netip.AddrPortFrom(s11.Addr(), uint16(i+1))).Port()
			if p < 3000 || p > 3511 || seen[p] {
				t.Fatalf("port %d is outside of the range, or there twice", p)
			}
			seen[p] = true
		}
	})
	t.Run("used up", func(t *testing.T) {
		n := nat(lab.Behavior{Mapping: lab.AddressAndPortDependentMapping, Allocation: lab.RandomPort, Ports: [2]uint16{3000, 3001}})
		send(t, n, 0, host, s11)
		send(t, n, 0, host, s12)
		if _, fate := n.Outbound(epoch, lab.Packet{Src: host, Dst: s21}); fate != lab.DroppedNoPort {
			t.Errorf("fate %d with no port left", fate)
		}
		send(t, n, lab.DefaultLifetime, host, s21) // the others have expired
	})
}

func TestFlowsSharePorts(t *testing.T) {
	n := nat(lab.Behavior{
		Mapping: lab.AddressAndPortDependentMapping, Filtering: lab.AddressAndPortDependentFiltering,
		Allocation: lab.PreserveFlowPort, Unsolicited: true,
	})
	at := netip.AddrPortFrom(public, host.Port())
	for _, to := range []netip.AddrPort{s11, s12} {
		if got := send(t, n, 0, host, to); got != at {
			t.Errorf("to %v it left from %v", to, got)
		}
	}
	if got := send(t, n, 0, other, s11); got == at {
		t.Error("two flows are one outside")
	}
	// What comes too early takes the port for that destination alone.
	if passes(t, n, 0, s21, at) {
		t.Error("an unsolicited packet came in")
	}
	if got := send(t, n, time.Second, host, s21); got == at {
		t.Error("the flow kept the port that an unsolicited packet had taken")
	} else if !passes(t, n, time.Second, s21, got) || passes(t, n, time.Second, s21, at) {
		t.Error("an answer comes in at the wrong port")
	}
}

func TestLifetime(t *testing.T) {
	for _, refresh := range []bool{false, true} {
		n := nat(lab.Behavior{
			Mapping: lab.EndpointIndependentMapping, Filtering: lab.AddressAndPortDependentFiltering,
			Lifetime: 10 * time.Second, InboundRefresh: refresh,
		})
		at := send(t, n, 0, host, s11)
		send(t, n, 5*time.Second, host, s12) // keeps the mapping, not the permission of s11
		if !passes(t, n, 9*time.Second, s11, at) {
			t.Error("the permission expired too early")
		}
		if got := passes(t, n, 12*time.Second, s11, at); got != refresh {
			t.Errorf("refresh %v: after its time: %v", refresh, got)
		}
		if !passes(t, n, 14*time.Second, s12, at) {
			t.Error("the mapping expired too early")
		}
		if passes(t, n, time.Minute, s12, at) {
			t.Error("the mapping did not expire")
		}
		send(t, n, 2*time.Minute, other, s11)
		if got := n.Mappings(); got != 1 {
			t.Errorf("%d mappings are kept", got)
		}
	}
}

func TestHairpin(t *testing.T) {
	b := lab.Behavior{Mapping: lab.EndpointIndependentMapping, Filtering: lab.AddressAndPortDependentFiltering}
	n := nat(b)
	at := send(t, n, 0, host, s11)
	if _, fate := n.Outbound(epoch, lab.Packet{Src: other, Dst: at}); fate != lab.DroppedHairpin {
		t.Errorf("without hairpin: fate %d", fate)
	}
	b.Hairpin = true
	n = nat(b)
	at, otherAt := send(t, n, 0, host, s11), send(t, n, 0, other, s11)
	if _, fate := n.Outbound(epoch, lab.Packet{Src: other, Dst: at}); fate != lab.DroppedFiltered {
		t.Errorf("a hairpin past the filter: fate %d", fate)
	}
	n.Outbound(epoch, lab.Packet{Src: host, Dst: otherAt})
	p, fate := n.Outbound(epoch, lab.Packet{Src: other, Dst: at})
	if want := (lab.Packet{Src: otherAt, Dst: host}); fate != lab.ToInside || p != want {
		t.Errorf("hairpin: %v, fate %d, want %v", p, fate, want)
	}
}

func TestFirewall(t *testing.T) {
	n := lab.NewNAT(lab.Behavior{Filtering: lab.AddressAndPortDependentFiltering, Egress: []netip.AddrPort{
		netip.MustParseAddrPort("0.0.0.0:1"), netip.AddrPortFrom(s21.Addr(), 0),
	}})
	if passes(t, n, 0, s11, host) {
		t.Error("an unsolicited packet came in")
	}
	if got := send(t, n, 0, host, s11); got != host {
		t.Errorf("a firewall translated %v to %v", host, got)
	}
	if !passes(t, n, 0, s11, host) {
		t.Error("no answer came in")
	}
	send(t, n, 0, host, s21)
	if _, fate := n.Outbound(epoch, lab.Packet{Src: host, Dst: s12}); fate != lab.DroppedEgress || n.Count(lab.DroppedEgress) != 1 {
		t.Errorf("out to a forbidden place: fate %d", fate)
	}
}

func TestBothFamilies(t *testing.T) {
	six := netip.MustParseAddr("2001:db8::1")
	n := lab.NewNAT(lab.Behavior{Mapping: lab.EndpointIndependentMapping, Public: []netip.Addr{public, six}})
	if got := send(t, n, 0, host, s11).Addr(); got != public {
		t.Errorf("IPv4 left from %v", got)
	}
	if got := send(t, n, 0, netip.MustParseAddrPort("[fd00::2]:5000"), netip.MustParseAddrPort("[2001:db8:1::1]:1")).Addr(); got != six {
		t.Errorf("IPv6 left from %v", got)
	}
	if _, fate := nat(lab.Behavior{Mapping: lab.EndpointIndependentMapping}).Outbound(epoch,
		lab.Packet{Src: netip.MustParseAddrPort("[fd00::2]:5000"), Dst: s11}); fate != lab.DroppedFamily {
		t.Errorf("IPv6 through IPv4: fate %d", fate)
	}
}

func TestMappingsAreBounded(t *testing.T) {
	n := nat(lab.Behavior{Mapping: lab.AddressAndPortDependentMapping, Allocation: lab.RandomPort, MaxMappings: 10})
	for i := range 20 {
		n.Outbound(epoch, lab.Packet{Src: host, Dst: netip.AddrPortFrom(s11.Addr(), uint16(i+1))})
	}
	if n.Mappings() != 10 || n.Count(lab.DroppedNoPort) != 10 {
		t.Errorf("%d mappings, %d dropped", n.Mappings(), n.Count(lab.DroppedNoPort))
	}
}

func TestValidate(t *testing.T) {
	for _, b := range []lab.Behavior{
		{Mapping: lab.EndpointIndependentMapping},
		{Mapping: 9},
		{Public: []netip.Addr{public}, Mapping: lab.EndpointIndependentMapping, Allocation: lab.PreserveFlowPort},
		{Unsolicited: true},
		{Ports: [2]uint16{2, 1}},
	} {
		if b.Validate() == nil {
			t.Errorf("%+v is valid", b)
		}
	}
}
