package natprobe

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var sameAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

// at is a time of a record, in milliseconds.
func at(ms int) time.Time { return simStart.Add(time.Duration(ms) * time.Millisecond) }

func node(n int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom([]netip.Addr{{}, nodeMain.Addr(), nodeOther.Addr(), netip.MustParseAddr("203.0.113.3")}[n], port)
}

func seen(port uint16) netip.AddrPort { return netip.AddrPortFrom(outside, port) }

// The parts of records. A silent one has 7 tries over 1020 ms.
func observed(ms int, port uint16) Observation {
	return Observation{Kind: KindObserved, Node: nodeMain, Seen: seen(port), At: at(ms)}
}

func reported(a netip.AddrPort) Observation {
	return Observation{Kind: KindReported, Seen: a, At: at(0)}
}

func hit(kind Kind, ms int, node, from netip.AddrPort) Observation {
	return Observation{Kind: kind, Node: node, Since: at(ms - 40), At: at(ms), Tries: 1, Hits: 1, Seen: from}
}

func miss(kind Kind, ms int, node netip.AddrPort) Observation {
	return Observation{Kind: kind, Node: node, Since: at(ms), At: at(ms + 1020), Tries: 7}
}

// home is a complete record of a home router: observed at port 40000, reported
// 192.168.1.2:40000, filters from 40 to 1060 ms, mappings at 1300.
func home() []Observation {
	var none netip.AddrPort
	return []Observation{
		observed(0, 40000),
		reported(local),
		hit(KindControlFilter, 40, nodeMain, none),
		hit(KindControlMapping, 40, nodeMain, seen(40000)),
		miss(KindFilter, 40, node(1, 1936)),
		miss(KindFilter, 40, node(2, 1936)),
		hit(KindControlFilter, 1100, nodeMain, none),
		hit(KindMapping, 1300, node(1, 1938), seen(40000)),
		hit(KindMapping, 1310, node(2, 1938), seen(40000)),
		hit(KindMapping, 1320, node(1, 1939), seen(40000)),
		hit(KindMapping, 1330, node(2, 1939), seen(40000)),
		hit(KindControlMapping, 1400, nodeMain, seen(40000)),
		observed(1500, 40000),
	}
}

// mapped is home with other answers to mapping probes: ports seen at the node's
// first address 1938, 1939, ... and at the second. Zero is none.
func mapped(first, second []uint16) []Observation {
	obs := without(home(), KindMapping)
	ms := 1300
	for i := range max(len(first), len(second)) {
		for n, ports := range [][]uint16{first, second} {
			if i < len(ports) && ports[i] != 0 {
				obs = append(obs, hit(KindMapping, ms, node(n+1, uint16(1938+i)), seen(ports[i])))
			}
			ms += 10
		}
	}
	return obs
}

func without(obs []Observation, kinds ...Kind) []Observation {
	return slices.DeleteFunc(obs, func(o Observation) bool { return slices.Contains(kinds, o.Kind) })
}

func change(obs []Observation, f func(*Observation)) []Observation {
	for i := range obs {
		f(&obs[i])
	}
	return obs
}

func is(kind Kind, nodes ...netip.AddrPort) func(Observation) bool {
	return func(o Observation) bool {
		return o.Kind == kind && (len(nodes) == 0 || slices.Contains(nodes, o.Node))
	}
}

// passing is home with filter probes from these nodes answered at once.
func passing(nodes ...netip.AddrPort) []Observation {
	return change(home(), func(o *Observation) {
		if is(KindFilter, nodes...)(*o) {
			o.Hits, o.Tries, o.At = 1, 1, at(80)
		}
	})
}

func TestMapping(t *testing.T) {
	const p = 40000
	for _, test := range []struct {
		name string
		obs  []Observation
		want Mapping
	}{
		{"nothing", nil, MappingUnknown},
		{"one address", mapped([]uint16{p, p}, nil), MappingNotAPDM},
		{"one answer", mapped([]uint16{p}, nil), MappingNotAPDM},
		{"both addresses", mapped([]uint16{p, p}, []uint16{p, p}), EIM},
		{"other address only", mapped(nil, []uint16{p}), EIM},
		{"symmetric", mapped([]uint16{1111, 2222}, []uint16{3333, 4444}), APDM},
		{"symmetric, one address", mapped([]uint16{1111, 2222}, nil), APDM},
		{"symmetric, one answer, steady", mapped([]uint16{1111}, nil), APDM},
		{"symmetric, one answer, not closed", without(mapped([]uint16{1111}, nil), KindControlMapping), MappingUnknown},
		{"symmetric at other address only", mapped(nil, []uint16{3333, 4444}), APDM},
		{"one answer of other address", mapped(nil, []uint16{3333}), MappingNotEIM},
		{"one answer of other address, not closed", without(mapped(nil, []uint16{3333}), KindControlMapping), MappingUnknown},
		{"by address", mapped([]uint16{p, p}, []uint16{3333, 3333}), ADM},
		{"by address, one answer", mapped([]uint16{p}, []uint16{3333}), ADM},
		{"by address, not closed", without(mapped([]uint16{p, p}, []uint16{3333, 3333}), KindControlMapping), MappingUnknown},
		{"expired meanwhile", mapped([]uint16{p, p}, []uint16{3333, p}), MappingUnknown},
		{"one port taken", mapped([]uint16{p, 2222}, []uint16{p, p}), MappingUnknown},
		{"by port at the other address only", mapped([]uint16{p, p}, []uint16{3333, 4444}), MappingUnknown},
		{"by port here, same there", mapped([]uint16{1111, 2222}, []uint16{p}), MappingUnknown},
		{"all moved to another", mapped([]uint16{1111, 1111}, []uint16{1111}), MappingUnknown},
		{"control came from elsewhere", append(home(), hit(KindControlMapping, 1450, nodeMain, seen(7))), MappingUnknown},
		{"a later round counts", append(mapped([]uint16{p}, []uint16{7}), hit(KindMapping, 1380, node(2, 1938), seen(p))), EIM},
		{"other family", append(mapped([]uint16{p}, nil), hit(KindMapping, 1390, netip.MustParseAddrPort("[2001:db8::1]:1938"), netip.MustParseAddrPort("[2001:db8::2]:4"))), MappingNotAPDM},
	} {
		if b := Classify(test.obs, at(2000)); b.Mapping != test.want || (b.MappingBy.Answer == Yes) != (test.want != MappingUnknown) {
			t.Errorf("%s: %v %+v, want %v", test.name, b.Mapping, b.MappingBy, test.want)
		}
	}
}

func TestFiltering(t *testing.T) {
	first, second := node(1, 1936), node(2, 1936)
	drop := func(obs []Observation, f func(Observation) bool) []Observation { return slices.DeleteFunc(obs, f) }
	tweak := func(f func(*Observation)) []Observation {
		return change(home(), func(o *Observation) {
			if o.Kind == KindFilter {
				f(o)
			}
		})
	}
	for _, test := range []struct {
		name string
		obs  []Observation
		want Filtering
	}{
		{"nothing", nil, FilteringUnknown},
		{"closed", home(), APDF},
		{"open", passing(), EIF},
		{"open to the same address", passing(first), ADF},
		{"a contradiction", passing(second), FilteringUnknown},
		{"one address, closed", drop(home(), is(KindFilter, second)), APDF},
		{"one address, open", drop(passing(), is(KindFilter, second)), FilteringNotAPDF},
		{"other address only, closed", drop(home(), is(KindFilter, first)), FilteringNotEIF},
		{"other address only, open", drop(passing(), is(KindFilter, first)), EIF},
		{"six tries", tweak(func(o *Observation) { o.Tries = 6 }), FilteringUnknown},
		{"within half a second", tweak(func(o *Observation) { o.At = o.Since.Add(500 * time.Millisecond) }), FilteringUnknown},
		{"the last of seven passes", tweak(func(o *Observation) { o.Hits = 1 }), EIF},
		{"no control", without(home(), KindControlFilter), FilteringUnknown},
		{"control silent", change(home(), func(o *Observation) {
			if o.Kind == KindControlFilter {
				o.Hits = 0
			}
		}), FilteringUnknown},
		{"control answered before only", drop(home(), func(o Observation) bool { return o.Kind == KindControlFilter && o.At.Equal(at(1100)) }), FilteringUnknown},
		{"no way out known", without(home(), KindMapping), FilteringUnknown},
		{"no way out to the second", drop(home(), is(KindMapping, node(2, 1938), node(2, 1939))), APDF},
		{"no way out to the first", drop(home(), is(KindMapping, node(1, 1938), node(1, 1939))), FilteringNotEIF},
		{"only the main port is a way out", append(without(home(), KindMapping), hit(KindRoute, 1300, node(2, 1935), seen(40000))), FilteringUnknown},
		{"the address was opened before", append(passing(), hit(KindMapping, 35, node(2, 1942), seen(40000))), FilteringNotAPDF},
		{"so long ago that it is closed", append(passing(), hit(KindMapping, -700_000, node(2, 1942), seen(40000))), EIF},
		{"the very port was opened before", append(passing(), hit(KindMapping, 35, first, seen(40000))), EIF},
		{"both", append(passing(), hit(KindMapping, 35, first, seen(40000)), hit(KindMapping, 35, node(2, 1942), seen(40000))), FilteringUnknown},
		{"another port of the main address was opened", append(passing(first), hit(KindMapping, 35, node(1, 1942), seen(40000))), ADF},
		{"a session at the second address", append([]Observation{{Kind: KindObserved, Node: nodeOther, Seen: seen(40000), At: at(-1000)}}, passing()...), FilteringNotAPDF},
		{"half of all is lost", change(home(), func(o *Observation) {
			if o.Hits > 0 {
				o.Tries = 2
			}
		}), FilteringUnknown},
	} {
		if b := Classify(test.obs, at(2000)); b.Filtering != test.want || (b.FilteringBy.Answer == Yes) != (test.want != FilteringUnknown) {
			t.Errorf("%s: %v %+v, want %v", test.name, b.Filtering, b.FilteringBy, test.want)
		}
	}
}

func TestPublic(t *testing.T) {
	own := netip.AddrPortFrom(outside, 40000)
	report := func(obs []Observation, addrs ...netip.AddrPort) []Observation {
		obs = without(obs, KindReported)
		for _, a := range addrs {
			obs = append(obs, reported(a))
		}
		return obs
	}
	for _, test := range []struct {
		name string
		obs  []Observation
		want Answer
		fire Answer
	}{
		{"nothing reported", report(home()), Unknown, Unknown},
		{"private", home(), No, No},
		{"own", report(home(), local, own), Yes, Yes},
		{"own and open", report(passing(), own), Yes, No},
		{"own, filter unknown", without(report(home(), own), KindFilter), Yes, Unknown},
		{"own address, another port", report(home(), netip.AddrPortFrom(outside, 1)), Unknown, Unknown},
		{"other family only", report(home(), netip.MustParseAddrPort("[2001:db8::1]:40000")), Unknown, Unknown},
		{"learned the outside address", report(mapped([]uint16{1111, 2222}, nil), own), No, No},
		{"no mapping known", without(report(home(), own), KindMapping), Unknown, Unknown},
	} {
		if b := Classify(test.obs, at(2000)); b.Public.Answer != test.want || b.FirewallOnly.Answer != test.fire {
			t.Errorf("%s: %v, firewall %v", test.name, b.Public, b.FirewallOnly)
		}
	}
}

func TestIntroductions(t *testing.T) {
	silent := func() []Observation {
		return append(without(home(), KindMapping, KindControlMapping), miss(KindControlMapping, 0, nodeMain))
	}
	binding := func(obs []Observation) []Observation {
		return change(obs, func(o *Observation) { o.Via = ViaBinding })
	}
	for _, test := range []struct {
		name string
		obs  []Observation
		want Answer
	}{
		{"nothing", nil, Unknown},
		{"answers", home(), Yes},
		{"silent", silent(), No},
		{"silent but gone", slices.DeleteFunc(silent(), func(o Observation) bool { return o.At.After(at(1020)) }), Unknown},
		{"silent to hellos too, but there", without(silent(), KindControlFilter), No},
		{"six tries", change(silent(), func(o *Observation) { o.Tries = min(o.Tries, 6) }), Unknown},
		{"a STUN client that got no answer", binding(silent()), Unknown},
		{"a STUN client", binding(home()), Unknown},
	} {
		b := Classify(test.obs, at(2000))
		if b.AnswersIntroductions.Answer != test.want || (b.Class() == Silent) != (test.want == No) {
			t.Errorf("%s: %v, %v", test.name, b.AnswersIntroductions, b.Class())
		}
	}
}

func TestBlockedRoutes(t *testing.T) {
	blocked := func() []Observation {
		obs := without(home(), KindMapping, KindControlMapping, KindObserved)
		return append(obs,
			hit(KindControlMapping, 40, nodeMain, seen(40000)),
			miss(KindMapping, 1300, node(1, 1938)),
			hit(KindRoute, 1900, nodeOther, seen(40000)),
			miss(KindRoute, 1900, node(1, 443)),
			hit(KindControlMapping, 2400, nodeMain, seen(40000)))
	}
	for _, test := range []struct {
		name string
		obs  []Observation
		want Answer
	}{
		{"nothing", nil, Unknown},
		{"free", home(), No},
		{"blocked", blocked(), Yes},
		{"no closing control", slices.DeleteFunc(blocked(), func(o Observation) bool { return o.At.Equal(at(2400)) }), Unknown},
		{"six tries", change(blocked(), func(o *Observation) { o.Tries = min(o.Tries, 6) }), Unknown},
		{"no mapping probes", without(blocked(), KindMapping), Unknown},
		{"a server whose other ports are dead", change(blocked(), func(o *Observation) { o.Via = ViaBinding }), Unknown},
	} {
		b := Classify(test.obs, at(3000))
		if b.BlockedRoutes.Answer != test.want || (b.Class() == Blocked) != (test.want == Yes) {
			t.Errorf("%s: %v, %v", test.name, b.BlockedRoutes, b.Class())
		}
		if test.want != Yes {
			continue
		}
		if diff := cmp.Diff([]netip.AddrPort{nodeMain, nodeOther}, b.Reachable, sameAddr); diff != "" {
			t.Error(diff)
		}
		if b.Filtering != FilteringUnknown {
			t.Errorf("%s: filter %v of one whose answers may not get out", test.name, b.Filtering)
		}
	}
}

func TestHairpin(t *testing.T) {
	for _, test := range []struct {
		name string
		obs  []Observation
		want Answer
	}{
		{"not tried", home(), Unknown},
		{"back", append(home(), hit(KindHairpin, 200, seen(1), seen(2))), Yes},
		{"not back", append(home(), miss(KindHairpin, 200, seen(1))), No},
		{"not back, and gone", slices.DeleteFunc(append(home(), miss(KindHairpin, 200, seen(1))), func(o Observation) bool {
			return o.At.After(at(1220)) && (o.Kind == KindControlMapping || o.Kind == KindObserved)
		}), Unknown},
		{"symmetric: the filter may do it", append(mapped([]uint16{1, 2}, []uint16{3, 4}), miss(KindHairpin, 200, seen(1))), Unknown},
		{"one server address", append(mapped([]uint16{40000}, nil), miss(KindHairpin, 200, seen(1))), Unknown},
	} {
		if b := Classify(test.obs, at(2000)); b.Hairpin.Answer != test.want {
			t.Errorf("%s: %v", test.name, b.Hairpin)
		}
	}
}

func TestPooling(t *testing.T) {
	other := change(home(), func(o *Observation) {
		if is(KindMapping, node(2, 1939))(*o) {
			o.Seen = netip.MustParseAddrPort("198.51.100.2:40000")
		}
	})
	for name, test := range map[string]struct {
		obs  []Observation
		want Answer
	}{
		"one":     {home(), No},
		"two":     {other, Yes},
		"too few": {mapped([]uint16{40000}, []uint16{40000}), Unknown},
		"nothing": {nil, Unknown},
	} {
		if b := Classify(test.obs, at(2000)); b.Pooling.Answer != test.want {
			t.Errorf("%s: %v", name, b.Pooling)
		}
	}
}

func TestRecordsOfAnotherTime(t *testing.T) {
	if c := Classify(home(), at(2000)).Class(); c != PortRestricted {
		t.Fatal(c)
	}
	moved := append(home(), observed(5000, 41000))
	for name, test := range map[string]struct {
		obs []Observation
		now time.Time
	}{
		"address changed":       {moved, at(6000)},
		"too old":               {home(), at(2000).Add(MaxAge)},
		"not yet":               {home(), at(-1)},
		"another main address":  {append(home(), Observation{Kind: KindObserved, Node: nodeOther, Seen: seen(40000), At: at(5000)}), at(6000)},
		"changed and came back": {append(moved, observed(5500, 40000)), at(6000)},
	} {
		if b := Classify(test.obs, test.now); b.Class() != ClassUnknown || b.Mapping != MappingUnknown || b.Filtering != FilteringUnknown {
			t.Errorf("%s: %+v", name, b)
		}
	}
	if c := Classify(append(home(), observed(9000, 40000)), at(10000)).Class(); c != PortRestricted {
		t.Errorf("seen again at the same address: %v", c)
	}
}

// Whatever is missing of a record, and in whatever order the rest is, what is
// left does not make a wrong answer; and JSON keeps all of it.
func TestPartsOfRecords(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, kind := range kinds {
		for seed := range uint64(20) {
			m := kind.m
			m.start(seed)
			round := lab{loss: 0.1, rtt: 40 * time.Millisecond, two: true}.probe(&m)
			text, err := json.Marshal(round.record)
			if err != nil {
				t.Fatal(err)
			}
			var obs []Observation
			if err := json.Unmarshal(text, &obs); err != nil {
				t.Fatal(err)
			}
			want := Classify(round.record, round.at)
			if diff := cmp.Diff(want, Classify(obs, round.at), sameAddr); diff != "" {
				t.Errorf("%s: after JSON: %s", kind.name, diff)
			}
			for range 20 {
				r.Shuffle(len(obs), func(i, j int) { obs[i], obs[j] = obs[j], obs[i] })
				part := obs[:r.IntN(len(obs)+1)]
				before := slices.Clone(part)
				if b := Classify(part, round.at); !agrees(b, m) {
					t.Errorf("%s: %+v of %+v", kind.name, b, part)
				}
				if diff := cmp.Diff(before, part, sameAddr); diff != "" {
					t.Fatalf("the record was changed: %s", diff)
				}
			}
		}
	}
}
