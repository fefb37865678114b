package natprobe

import "testing"

// The figures that the literature has for 256 open ports.
func TestBirthdayProbes(t *testing.T) {
	for _, test := range []struct {
		size   int
		chance float64
		want   int
	}{
		{65535, 0.5, 177},
		{65535, 0.98, 992},
		{65535, 0.999, 1742},
		{512, 0.5, 1},
		{512, 0.98, 6},
		{512, 0.999, 10},
		{256, 0.999, 1},
		{1, 0.5, 1},
	} {
		if got := birthdayProbes(test.size, test.chance); got != test.want {
			t.Errorf("%d ports, %v: %d, want %d", test.size, test.chance, got, test.want)
		}
	}
}

func TestConsensus(t *testing.T) {
	oneIP := Behavior{Mapping: MappingNotAPDM, Public: Finding{Answer: No, Hits: 0, Tries: 1}}
	cone := Behavior{Mapping: EIM, Filtering: APDF, Public: Finding{Answer: No, Tries: 1}, Allocation: Preserved}
	stepping := Behavior{Mapping: APDM, Filtering: APDF, Allocation: Stepping, Step: 1}
	for name, test := range map[string]struct {
		all     []Behavior
		mapping Mapping
		class   Class
		differ  int
	}{
		"one knows more":   {[]Behavior{oneIP, cone}, EIM, PortRestricted, 0},
		"the other way":    {[]Behavior{cone, oneIP}, EIM, PortRestricted, 0},
		"partial answers":  {[]Behavior{{Mapping: MappingNotAPDM}, {Mapping: MappingNotEIM}}, ADM, ClassUnknown, 0},
		"they contradict":  {[]Behavior{cone, stepping}, MappingUnknown, ClassUnknown, 2},
		"nobody knows":     {[]Behavior{{}, {}}, MappingUnknown, ClassUnknown, 0},
		"alone":            {[]Behavior{stepping}, APDM, SymmetricStepping, 0},
		"without a server": {nil, MappingUnknown, ClassUnknown, 0},
	} {
		b, d := Consensus(test.all)
		if b.Mapping != test.mapping || b.Class() != test.class || len(d) != test.differ {
			t.Errorf("%s: %v, %v, %+v", name, b.Mapping, b.Class(), d)
		}
	}
}
