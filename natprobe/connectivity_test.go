package natprobe

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConnectivity(t *testing.T) {
	own := netip.AddrPortFrom(outside, 40000)
	pooled := change(home(), func(o *Observation) {
		if is(KindMapping)(*o) {
			o.Seen = netip.MustParseAddrPort("198.51.100.9:40000")
		}
	})
	for name, test := range map[string]struct {
		obs  []Observation
		want [7]Answer // the fields in order
	}{
		"nothing":       {nil, [7]Answer{}},
		"home":          {home(), [7]Answer{No, Yes, No, No, Yes, Yes, Yes}},
		"public":        {append(without(passing(), KindReported), reported(own)), [7]Answer{Yes, Yes, Yes, Yes, Yes, Yes, Yes}},
		"symmetric":     {mapped([]uint16{1111, 2222}, []uint16{3333, 4444}), [7]Answer{No, Yes, No, No, Yes, Yes, No}},
		"one address":   {without(mapped([]uint16{40000}, nil), KindFilter), [7]Answer{No, Yes, Unknown, Unknown, Yes, Yes, Unknown}},
		"other address": {pooled, [7]Answer{No, Yes, No, No, Yes, No, Unknown}},
		"silent": {
			append(without(home(), KindMapping, KindControlMapping), miss(KindControlMapping, 0, nodeMain)),
			[7]Answer{No, Yes, Unknown, Unknown, No, Unknown, Unknown},
		},
	} {
		c := NewConnectivity(test.obs, at(2000))
		got := [7]Answer{
			c.PublicAddressIsLocal, c.PublicPortMatchesLocalPort, c.ReceiveSameAddressDifferentPortAllowed,
			c.ReceiveDifferentAddressDifferentPortAllowed, c.SendAfterIntroductionAllowed,
			c.SendAfterIntroductionPreservesSourceAddress, c.SendAfterIntroductionPreservesSourcePort,
		}
		if diff := cmp.Diff(test.want, got); diff != "" || c.Advice == "" {
			t.Errorf("%s: %s %+v", name, diff, c)
		}
		if test.obs != nil && c.PublicAddress != own {
			t.Errorf("%s: %v", name, c.PublicAddress)
		}
	}
	if c := NewConnectivity(mapped([]uint16{50000, 50002}, []uint16{50001, 50003}), at(2000)); c.PortStep != 1 || c.NATClass != SymmetricStepping {
		t.Errorf("%+v", c)
	}
}

// Every class has its names and an advice of its own or of its likes.
func TestNames(t *testing.T) {
	names := make(map[string]bool)
	for _, c := range Classes() {
		var back Class
		if err := back.UnmarshalText([]byte(c.String())); err != nil || back != c || names[c.String()] || c.LegacyName() == "" {
			t.Errorf("%d: %q %q %v", c, c, c.LegacyName(), err)
		}
		names[c.String()] = true
	}
	if len(names) != int(Silent)+1 || len(legacyNames) != len(classNames) {
		t.Errorf("%d classes", len(names))
	}
	for _, n := range []int{len(answerNames) - int(Yes), len(mappingNames) - int(MappingNotAPDM), len(filteringNames) - int(FilteringNotAPDF), len(allocationNames) - int(Ranged), len(kindNames) - int(KindFamily), len(viaNames) - int(ViaBinding)} {
		if n != 1 {
			t.Error("a name is missing")
		}
	}
	var c Class
	if err := c.UnmarshalText([]byte("sometimes")); err == nil {
		t.Error("an unknown name was read")
	}
	if s := Class(200).String(); s != "200" {
		t.Error(s)
	}
}
