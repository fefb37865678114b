package report

import (
	"fmt"

	"pileus/natprobe"
)

// Changes says in lines of text what differs between two reports of one host. What
// became unknown did not change: it may be lost packets.
func Changes(before, after Report) []string {
	var out []string
	change := func(what string, a, b any, unknown bool) {
		if a != b && !unknown {
			out = append(out, fmt.Sprintf("%s: %v, was %v", what, b, a))
		}
	}
	a, b := &before.Behavior, &after.Behavior
	change("UDP blocked", before.NoUDP, after.NoUDP, false)
	change("public address", before.Seen.Addr(), after.Seen.Addr(), !after.Seen.IsValid())
	change("local address", before.Local.Addr(), after.Local.Addr(), !after.Local.IsValid())
	change("class", before.Class, after.Class, after.Class == natprobe.ClassUnknown)
	change("mapping", a.Mapping, b.Mapping, b.Mapping == natprobe.MappingUnknown)
	change("filtering", a.Filtering, b.Filtering, b.Filtering == natprobe.FilteringUnknown)
	change("ports", a.Allocation, b.Allocation, b.Allocation == natprobe.AllocationUnknown)
	change("port step", a.Step, b.Step, b.Allocation != natprobe.Stepping)
	change("hairpin", a.Hairpin.Answer, b.Hairpin.Answer, b.Hairpin.Answer == natprobe.Unknown)
	if x, y := before.Depth.MTU, after.Depth.MTU; x != nil && y != nil {
		change("path MTU outwards", x.Bytes, y.Bytes, y.Bytes == 0)
	}
	if x, y := before.Depth.MTUIn, after.Depth.MTUIn; x != nil && y != nil {
		change("path MTU inwards", x.Bytes, y.Bytes, y.Bytes == 0)
	}
	if x, y := before.Depth.Fragments, after.Depth.Fragments; x != nil && y != nil {
		change("fragments out", x.Out.Answer, y.Out.Answer, y.Out.Answer == natprobe.Unknown)
		change("fragments in", x.In.Answer, y.In.Answer, y.In.Answer == natprobe.Unknown)
	}
	if x, y := before.Depth.ALG, after.Depth.ALG; x != nil && y != nil {
		change("payloads rewritten", x.Mangled > 0, y.Mangled > 0, false)
	}
	return out
}
