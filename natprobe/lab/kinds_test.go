package lab_test

import (
	"net/netip"
	"testing"

	"pileus/natprobe/lab"
)

// hop sends a packet out through chain and returns its source at the end.
func hop(t *testing.T, chain []*lab.NAT, from, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	for _, n := range chain {
		from = send(t, n, 0, from, to)
	}
	return from
}

func comesIn(chain []*lab.NAT, from, to netip.AddrPort) bool {
	p := lab.Packet{Src: from, Dst: to}
	for i := len(chain) - 1; i >= 0; i-- {
		var fate lab.Fate
		if p, fate = chain[i].Inbound(epoch, p); fate != lab.ToInside {
			return false
		}
	}
	return p.Dst == host
}

func chainOf(k lab.Kind) []*lab.NAT {
	var chain []*lab.NAT
	for i, b := range k.Chain {
		b.Public, b.Seed = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})}, uint64(i)
		b.Egress = nil
		chain = append(chain, lab.NewNAT(b))
	}
	return chain
}

func TestKindsAreWhatTheyLook(t *testing.T) {
	for _, k := range lab.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			chain := chainOf(k)
			at, at12, at21 := hop(t, chain, host, s11), hop(t, chain, host, s12), hop(t, chain, host, s21)
			mapping := lab.NoTranslation
			switch {
			case at == host:
			case at == at12 && at == at21:
				mapping = lab.EndpointIndependentMapping
			case at == at12:
				mapping = lab.AddressDependentMapping
			default:
				mapping = lab.AddressAndPortDependentMapping
			}
			if mapping != k.Looks.Mapping {
				t.Errorf("mapping is %v, looks %v", mapping, k.Looks.Mapping)
			}
			if mapping != lab.NoTranslation {
				allocation := lab.RandomPort
				switch {
				case at.Port() == host.Port():
					allocation = lab.PreservePort
				case at12.Port() == at.Port()+1 && at21.Port() == at.Port()+2:
					allocation = lab.StepPort
				}
				if allocation != k.Looks.Allocation {
					t.Errorf("allocation is %v, looks %v", allocation, k.Looks.Allocation)
				}
			}

			chain = chainOf(k)
			at = hop(t, chain, host, s11)
			filtering := lab.AddressAndPortDependentFiltering
			switch {
			case comesIn(chain, s21, at):
				filtering = lab.EndpointIndependentFiltering
			case comesIn(chain, s12, at):
				filtering = lab.AddressDependentFiltering
			}
			if filtering != k.Looks.Filtering {
				t.Errorf("filtering is %v, looks %v", filtering, k.Looks.Filtering)
			}
			if got, ok := lab.KindNamed(k.Name); !ok || got.Text != k.Text {
				t.Errorf("not found by its name")
			}
		})
	}
}
