package report

import (
	"testing"

	"pileus/natprobe"
)

func TestConsensus(t *testing.T) {
	oneIP := natprobe.Behavior{Mapping: natprobe.MappingNotAPDM, Public: natprobe.Finding{Answer: natprobe.No, Hits: 0, Tries: 1}}
	cone := natprobe.Behavior{Mapping: natprobe.EIM, Filtering: natprobe.APDF, Public: natprobe.Finding{Answer: natprobe.No, Tries: 1}, Allocation: natprobe.Preserved}
	stepping := natprobe.Behavior{Mapping: natprobe.APDM, Filtering: natprobe.APDF, Allocation: natprobe.Stepping, Step: 1}
	for name, test := range map[string]struct {
		all     []natprobe.Behavior
		mapping natprobe.Mapping
		class   natprobe.Class
		differ  int
	}{
		"one knows more":   {[]natprobe.Behavior{oneIP, cone}, natprobe.EIM, natprobe.PortRestricted, 0},
		"the other way":    {[]natprobe.Behavior{cone, oneIP}, natprobe.EIM, natprobe.PortRestricted, 0},
		"partial answers":  {[]natprobe.Behavior{{Mapping: natprobe.MappingNotAPDM}, {Mapping: natprobe.MappingNotEIM}}, natprobe.ADM, natprobe.ClassUnknown, 0},
		"they contradict":  {[]natprobe.Behavior{cone, stepping}, natprobe.MappingUnknown, natprobe.ClassUnknown, 2},
		"nobody knows":     {[]natprobe.Behavior{{}, {}}, natprobe.MappingUnknown, natprobe.ClassUnknown, 0},
		"alone":            {[]natprobe.Behavior{stepping}, natprobe.APDM, natprobe.SymmetricStepping, 0},
		"without a server": {nil, natprobe.MappingUnknown, natprobe.ClassUnknown, 0},
	} {
		b, d := consensusOf(test.all)
		if b.Mapping != test.mapping || b.Class() != test.class || len(d) != test.differ {
			t.Errorf("%s: %v, %v, %+v", name, b.Mapping, b.Class(), d)
		}
	}
}
