package natprobe

import (
	"net/netip"
	"time"
)

// Answer is what is known about a question. Its zero value is Unknown.
type Answer uint8

const (
	Unknown Answer = iota
	No
	Yes
)

// Finding is an answer with what it rests on: Hits of Tries spoke for something,
// the last of them at At. What a hit is depends on the question: see [Behavior].
type Finding struct {
	Answer Answer    `json:"answer"`
	Hits   int       `json:"hits"`
	Tries  int       `json:"tries"`
	At     time.Time `json:"at,omitzero"`
}

// Mapping is how a NAT chooses the public address and port of a socket behind it
// (RFC 4787 section 4.1).
type Mapping uint8

const (
	MappingUnknown Mapping = iota
	EIM                    // endpoint-independent: one for every destination
	ADM                    // address-dependent: one for each destination address
	APDM                   // address and port-dependent: one for each destination
	MappingNotEIM          // ADM or APDM
	MappingNotAPDM         // EIM or ADM: all that one server address can tell
)

// Dependent reports whether the mapping is known to change with the destination.
func (m Mapping) Dependent() bool { return m == ADM || m == APDM || m == MappingNotEIM }

// Filtering is which packets from outside pass to a socket that has a mapping
// (RFC 4787 section 5).
type Filtering uint8

const (
	FilteringUnknown Filtering = iota
	EIF                        // endpoint-independent: anybody's
	ADF                        // address-dependent: of addresses the socket has sent to
	APDF                       // address and port-dependent: of address and ports it has sent to
	FilteringNotEIF            // ADF or APDF
	FilteringNotAPDF           // EIF or ADF: all that one server address can tell of an open filter
)

// Restricted reports whether a stranger's packets are known not to pass.
func (f Filtering) Restricted() bool { return f == ADF || f == APDF || f == FilteringNotEIF }

// Allocation is how a NAT chooses the port of a new mapping.
type Allocation uint8

const (
	AllocationUnknown Allocation = iota
	Preserved                    // the port of the socket itself
	Stepping                     // the last one's and a fixed step
	Random                       // anywhere
	Ranged                       // anywhere in a small block
)

// Behavior is what is known about the way between a host and the Internet. The
// zero value knows nothing.
type Behavior struct {
	// Public: the host's own address is the one seen outside. A hit is a
	// reported address that equals the observed one.
	Public Finding `json:"public"`
	// FirewallOnly: Public, and strangers' packets are filtered.
	FirewallOnly Finding `json:"firewallOnly"`
	// Hairpin: packets to a public address of the same NAT come back inside.
	Hairpin Finding `json:"hairpin"`
	// Pooling: mappings of this host came from more than one public address. A
	// hit is a mapping on another address than the observed one.
	Pooling Finding `json:"pooling"`

	// MappingBy and FilteringBy have Answer Yes where Mapping and Filtering say
	// anything at all. A hit is a destination that saw the observed address and
	// port, or a probe from elsewhere that passed.
	Mapping     Mapping   `json:"mapping"`
	MappingBy   Finding   `json:"mappingBy"`
	Filtering   Filtering `json:"filtering"`
	FilteringBy Finding   `json:"filteringBy"`

	// Step is the distance between the ports of two mappings that follow each
	// other, negative downwards; Jitter how much further apart they were at most,
	// since other hosts take ports too. Both only where Allocation is Stepping;
	// Range, the lowest and highest port seen, only where it is Ranged.
	Allocation   Allocation `json:"allocation"`
	Step         int        `json:"step,omitempty"`
	Jitter       int        `json:"jitter,omitempty"`
	Range        [2]uint16  `json:"range,omitzero"`
	AllocationBy Finding    `json:"allocationBy"`

	// AnswersIntroductions: the client answers a forwarded hello at all.
	AnswersIntroductions Finding `json:"answersIntroductions"`
	// BlockedRoutes: packets leave only towards some ports or addresses;
	// Reachable are those of the node they were seen at.
	BlockedRoutes Finding          `json:"blockedRoutes"`
	Reachable     []netip.AddrPort `json:"reachable,omitempty"`
}

// Class is the name of a usual combination of behaviours.
type Class uint8

const (
	ClassUnknown        Class = iota
	Public                    // no NAT, no filter
	Firewall                  // no NAT, a stateful filter
	FullCone                  // EIM, EIF
	AddressRestricted         // EIM, ADF
	PortRestricted            // EIM, APDF: the usual home router
	SymmetricRandom           // a port for each destination that cannot be predicted
	SymmetricStepping         // a port for each destination, each a step after the last
	SymmetricOpenFilter       // a port for each destination, strangers pass
	Blocked                   // UDP leaves only towards some ports or addresses
	Silent                    // the client answers no introduction
)

// Class names b, ClassUnknown where what is known fits more than one name.
func (b Behavior) Class() Class {
	switch {
	case b.AnswersIntroductions.Answer == No:
		return Silent
	case b.BlockedRoutes.Answer == Yes:
		return Blocked
	case b.Public.Answer == Yes:
		return b.publicClass()
	case b.Mapping.Dependent():
		return b.symmetricClass()
	case b.Mapping == EIM && b.Public.Answer == No:
		return b.coneClass()
	}
	return ClassUnknown
}

func (b Behavior) publicClass() Class {
	switch {
	case b.Filtering == EIF:
		return Public
	case b.Filtering.Restricted():
		return Firewall
	}
	return ClassUnknown
}

func (b Behavior) coneClass() Class {
	switch b.Filtering {
	case EIF:
		return FullCone
	case ADF:
		return AddressRestricted
	case APDF:
		return PortRestricted
	default:
		return ClassUnknown
	}
}

func (b Behavior) symmetricClass() Class {
	switch {
	case b.Filtering == EIF:
		return SymmetricOpenFilter
	case !b.Filtering.Restricted():
		return ClassUnknown
	case b.Allocation == Stepping:
		return SymmetricStepping
	case b.Allocation == Random || b.Allocation == Ranged:
		return SymmetricRandom
	}
	return ClassUnknown
}
