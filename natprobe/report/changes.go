package report

import (
	"fmt"
	"net/netip"

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
	change("public address", known(before.Seen.Addr()), known(after.Seen.Addr()), !after.Seen.IsValid())
	change("local address", known(before.Local.Addr()), known(after.Local.Addr()), !after.Local.IsValid())
	if x, y := before.Way, after.Way; x != nil && y != nil {
		change("leaves by", x.Interface, y.Interface, false)
		change("router", known(x.Router), known(y.Router), false)
	}
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

// known is an address in words.
func known(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}

// Remember returns after with what is unknown in it as it was before, so that a change is
// seen though a test in between did not find out.
func Remember(before, after Report) Report {
	a, b := &before.Behavior, &after.Behavior
	if !after.Local.IsValid() {
		after.Local = before.Local
	}
	if after.Way == nil {
		after.Way = before.Way
	}
	if after.Class == natprobe.ClassUnknown {
		after.Class = before.Class
	}
	if b.Mapping == natprobe.MappingUnknown {
		b.Mapping = a.Mapping
	}
	if b.Filtering == natprobe.FilteringUnknown {
		b.Filtering = a.Filtering
	}
	if b.Allocation == natprobe.AllocationUnknown {
		b.Allocation, b.Step = a.Allocation, a.Step
	}
	if b.Hairpin.Answer == natprobe.Unknown {
		b.Hairpin = a.Hairpin
	}
	rememberDepth(&before.Depth, &after.Depth)
	return after
}

func rememberDepth(before, after *Depth) {
	mtu := func(a, b *MTU) *MTU {
		if a != nil && (b == nil || b.Bytes == 0) {
			return a
		}
		return b
	}
	after.MTU, after.MTUIn = mtu(before.MTU, after.MTU), mtu(before.MTUIn, after.MTUIn)
	if after.ALG == nil {
		after.ALG = before.ALG
	}
	switch x, y := before.Fragments, after.Fragments; {
	case x == nil:
	case y == nil:
		after.Fragments = x
	default:
		both := *y
		if both.Out.Answer == natprobe.Unknown {
			both.Out = x.Out
		}
		if both.In.Answer == natprobe.Unknown {
			both.In = x.In
		}
		after.Fragments = &both
	}
}

// Unmeasured is the report of a test that could not be done.
func Unmeasured(why string) Report {
	return Report{Schema: Schema, Verdict: "not measured: " + why, LegacyName: natprobe.ClassUnknown.LegacyName(), Record: Record{Notes: []string{why}}}
}

// measured reports whether anything was asked.
func (r *Report) measured() bool { return len(r.Runs) > 0 }
