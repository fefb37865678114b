package natprobe

import (
	"net/netip"
	"testing"
)

func TestAllocation(t *testing.T) {
	const p = 50000
	for _, test := range []struct {
		name         string
		obs          []Observation
		want         Allocation
		step, jitter int
	}{
		{"nothing", nil, AllocationUnknown, 0, 0},
		{"preserved", home(), Preserved, 0, 0},
		{"nothing reported", without(home(), KindReported), AllocationUnknown, 0, 0},
		{"not preserved", change(home(), func(o *Observation) {
			if o.Kind == KindReported {
				o.Seen = netip.MustParseAddrPort("192.168.1.2:1")
			}
		}), AllocationUnknown, 0, 0},
		{"step 1", mapped([]uint16{p, p + 2}, []uint16{p + 1, p + 3}), Stepping, 1, 0},
		{"step 2", stepped(12, 2), Stepping, 2, 0},
		{"step -4", stepped(12, -4), Stepping, -4, 0},
		{"step 2, or 1 and one flow beside each", stepped(11, 2), AllocationUnknown, 0, 0},
		{"step -1", mapped([]uint16{p, p - 2}, []uint16{p - 1, p - 3}), Stepping, -1, 0},
		{"step 1 amid others", mapped([]uint16{p, p + 5}, []uint16{p + 2, p + 6}), Stepping, 1, 2},
		{"step 2 amid others", change(stepped(12, 2), func(o *Observation) {
			if o.Kind == KindMapping && o.Seen.Port() >= p+10 {
				o.Seen = seen(o.Seen.Port() + 4)
			}
		}), Stepping, 2, 4},
		{"one lost", mapped([]uint16{p, 0, p + 4}, []uint16{p + 1, p + 3}), Stepping, 1, 1},
		{"three are too few", mapped([]uint16{p, p + 2}, []uint16{p + 1}), AllocationUnknown, 0, 0},
		{"out of order", mapped([]uint16{p, p + 1}, []uint16{p + 2, p + 3}), AllocationUnknown, 0, 0},
		{"far apart", mapped([]uint16{p, p + 200}, []uint16{p + 100, p + 300}), AllocationUnknown, 0, 0},
		{"random", mapped([]uint16{61000, 1234, 30000}, []uint16{9999, 45678, 22222}), Random, 0, 0},
		{"rising by chance", mapped([]uint16{1000, 20000}, []uint16{9000, 45678}), AllocationUnknown, 0, 0},
		{"wrapped", mapped([]uint16{65534, 1024}, []uint16{65535, 1025}), AllocationUnknown, 0, 0},
		{"ranged", mapped([]uint16{30300, 30208, 30500}, []uint16{30700, 30400, 30600}), Ranged, 0, 0},
		{"a block by steps that wrapped", mapped([]uint16{20998, 20000, 20002}, []uint16{20999, 20001, 20003}), AllocationUnknown, 0, 0},
		{"wide gaps in a block", mapped([]uint16{20300, 20008, 20950}, []uint16{20700, 20030, 20360}), Ranged, 0, 0},
		{"five are too few for a range", mapped([]uint16{30300, 30208, 30500}, []uint16{30700, 30400}), AllocationUnknown, 0, 0},
		{"several public addresses", change(mapped([]uint16{p, p + 2}, []uint16{p + 1, p + 3}), func(o *Observation) {
			if is(KindMapping, node(2, 1939))(*o) {
				o.Seen = netip.MustParseAddrPort("198.51.100.2:50003")
			}
		}), AllocationUnknown, 0, 0},
		{"repeated tries keep no order", change(mapped([]uint16{p, p + 2}, []uint16{p + 1, p + 3}), func(o *Observation) {
			if o.Kind == KindMapping {
				o.Tries = 2
			}
		}), AllocationUnknown, 0, 0},
	} {
		b := Classify(test.obs, at(2000))
		if b.Allocation != test.want || b.Step != test.step || b.Jitter != test.jitter {
			t.Errorf("%s: %v %d %d, want %v %d %d", test.name, b.Allocation, b.Step, b.Jitter, test.want, test.step, test.jitter)
		}
		if (b.AllocationBy.Answer == Yes) != (test.want != AllocationUnknown) || (b.Range != [2]uint16{}) != (test.want == Ranged) {
			t.Errorf("%s: %+v", test.name, b)
		}
	}
}

// stepped is a record of n mappings whose ports are step apart.
func stepped(n, step int) []Observation {
	ports := [2][]uint16{}
	for i := range n {
		ports[i%2] = append(ports[i%2], uint16(50000+i*step))
	}
	return mapped(ports[0], ports[1])
}

// New sockets of a host behind one mapping per socket show a rule too.
func TestAllocationOfSockets(t *testing.T) {
	for _, test := range []struct {
		name  string
		ports []uint16 // seen, of sockets 41000, 41001, ...
		want  Allocation
	}{
		{"preserved", []uint16{41000, 41001, 41002, 41003}, Preserved},
		{"stepping", []uint16{50000, 50001, 50002, 50004}, Stepping},
		{"random", []uint16{50000, 1033, 22000, 60000, 7000}, Random},
	} {
		obs := home()
		if test.want != Preserved {
			obs = without(obs, KindReported)
		}
		for i, p := range test.ports {
			o := hit(KindSocket, 1410+i, nodeMain, seen(p))
			o.Local = netip.AddrPortFrom(local.Addr(), uint16(41000+i))
			obs = append(obs, o)
		}
		if b := Classify(obs, at(2000)); b.Allocation != test.want || b.Mapping != EIM {
			t.Errorf("%s: %v %+v", test.name, b.Allocation, b.AllocationBy)
		}
	}
}
