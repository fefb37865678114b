package strategy

import "pileus/natprobe"

// Path is how two peers can be joined.
type Path uint8

const (
	PathUnsure Path = iota
	PathDirect      // they meet
	PathRelay       // only a relay joins them
	PathNone        // nothing does: the target answers no introduction
)

var pathNames = [...]string{"unsure", "direct", "relay", "none"}

func (p Path) String() string { return pathNames[p] }

// Verdict is a path with its reason, in plain English.
type Verdict struct {
	Path Path
	Why  string
}

// Direct says whether an initiator of class a and a target of class b meet
// without a relay, when the node does all it can. To relay for a blocked target
// takes a second address of the node.
func Direct(a, b natprobe.Class) Verdict { return Between(Typical(a), Typical(b)) }

// Between is Direct for behaviours: what is not known of them makes it unsure only
// where it matters.
func Between(initiator, target natprobe.Behavior) Verdict {
	m := meetings(kindsOf(&initiator), kindsOf(&target))
	return Verdict{m.path(), m.why()}
}

func (m meeting) path() Path {
	switch {
	case m.only(direct):
		return PathDirect
	case m.has(direct):
		return PathUnsure
	case m == mute:
		return PathNone
	}
	return PathRelay
}

// Typical returns the behaviour that a class is the name of; of the symmetric
// ones, with the port-dependent mapping and filter that most have.
func Typical(c natprobe.Class) natprobe.Behavior {
	yes, no := natprobe.Finding{Answer: natprobe.Yes}, natprobe.Finding{Answer: natprobe.No}
	host := natprobe.Behavior{Public: yes, FirewallOnly: no, Mapping: natprobe.EIM, AnswersIntroductions: yes, BlockedRoutes: no}
	nat := natprobe.Behavior{Public: no, FirewallOnly: no, AnswersIntroductions: yes, BlockedRoutes: no}
	with := func(b natprobe.Behavior, m natprobe.Mapping, f natprobe.Filtering, a natprobe.Allocation) natprobe.Behavior {
		b.Mapping, b.Filtering, b.Allocation = m, f, a
		if a == natprobe.Stepping {
			b.Step = 1
		}
		return b
	}
	switch c {
	case natprobe.Public:
		return with(host, natprobe.EIM, natprobe.EIF, natprobe.Preserved)
	case natprobe.Firewall:
		host.FirewallOnly = yes
		return with(host, natprobe.EIM, natprobe.APDF, natprobe.Preserved)
	case natprobe.FullCone:
		return with(nat, natprobe.EIM, natprobe.EIF, natprobe.AllocationUnknown)
	case natprobe.AddressRestricted:
		return with(nat, natprobe.EIM, natprobe.ADF, natprobe.AllocationUnknown)
	case natprobe.PortRestricted:
		return with(nat, natprobe.EIM, natprobe.APDF, natprobe.AllocationUnknown)
	case natprobe.SymmetricRandom:
		return with(nat, natprobe.APDM, natprobe.APDF, natprobe.Random)
	case natprobe.SymmetricStepping:
		return with(nat, natprobe.APDM, natprobe.APDF, natprobe.Stepping)
	case natprobe.SymmetricOpenFilter:
		return with(nat, natprobe.APDM, natprobe.EIF, natprobe.Random)
	case natprobe.Blocked:
		return natprobe.Behavior{AnswersIntroductions: yes, BlockedRoutes: yes}
	case natprobe.Silent:
		return natprobe.Behavior{AnswersIntroductions: no}
	case natprobe.ClassUnknown:
	}
	return natprobe.Behavior{}
}
