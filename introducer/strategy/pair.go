package strategy

import (
	"net/netip"
	"time"

	"pileus/natprobe"
)

// Side is what is known of one of two peers.
type Side struct {
	Behavior natprobe.Behavior // of the way that Observed shows
	Observed netip.AddrPort    // the source of its packets, as the node sees it
	Proven   netip.AddrPort    // its own address of the other family, seen unchanged; zero: none
	Reported []netip.AddrPort  // further addresses that may be named to the other side, best first

	// Latest is the newest mapping seen of it, zero for Observed. Next is the
	// mapping that this introduction's fresh FIHello showed, zero until then, and
	// Named the number of addresses named to it after that FIHello. For the sides
	// that Plan.Aim names; a plan made with Next is the second wave.
	Latest, Next netip.AddrPort
	Named        int

	// Steady: none of its packets was lost of late, of several.
	Steady bool
	// Pending is what probes that are under way may soon add to Behavior.
	Pending natprobe.Pending

	At        netip.AddrPort // the node's address that its session is with
	Second    netip.AddrPort // another one, of the same port; zero: there is none
	RTT       time.Duration  // 0: unknown
	Anonymous bool           // it has no session: nothing but Observed counts
}

// Pair is two peers to introduce.
type Pair struct {
	Initiator, Target Side
	RelayAvailable    bool
	NoRelay           string // why not, if not: "relay.ports is empty"
	Failures          int    // in a row, of this pair: see [History]
	MaxCandidates     int    // addresses named to each side; 0: DefaultCandidates

	// Again is how often the initiator has asked again, so has not been met.
	Again int
	// Rushed: the pair is not [Pair.Ripe], and it is too late to wait longer.
	Rushed bool
}

const (
	// MaxCandidates is what initiators take from redirects.
	MaxCandidates = 24
	// DefaultCandidates is enough to predict a port on a quiet NAT.
	DefaultCandidates = 8
)

// limit is the number of addresses to name to a side. What failed before is
// tried wider, unless the operator says how wide.
func (p *Pair) limit() int {
	switch {
	case p.MaxCandidates > 0:
		return min(p.MaxCandidates, MaxCandidates)
	case p.Failures > 0:
		return min(DefaultCandidates*(1+p.Failures), MaxCandidates)
	}
	return DefaultCandidates
}

// family returns the side's address of one family, and whether it is Observed.
func (s *Side) family(is6 bool) (a netip.AddrPort, observed bool) {
	if s.Observed.IsValid() && s.Observed.Addr().Is6() == is6 {
		return s.Observed, true
	}
	if s.Proven.IsValid() && s.Proven.Addr().Is6() == is6 {
		return s.Proven, false
	}
	return netip.AddrPort{}, false
}

func (s *Side) kinds(observed bool) kindSet {
	if !observed {
		return untranslated
	}
	return kindsOf(&s.Behavior)
}

// likely is kinds, if the port is the same for all addresses that was for all ports of
// one: few NATs choose by address alone.
func (s *Side) likely(observed bool) kindSet {
	if !observed || s.Behavior.Mapping != natprobe.MappingNotAPDM {
		return s.kinds(observed)
	}
	b := s.Behavior
	b.Mapping = natprobe.EIM
	return kindsOf(&b)
}

// behindOneNAT reports whether both are seen at one public address that may be a
// NAT's, and not that of the host which both run on.
func (p *Pair) behindOneNAT() bool {
	a, b := &p.Initiator, &p.Target
	return a.Observed.Addr() == b.Observed.Addr() &&
		a.Behavior.Public.Answer != natprobe.Yes && b.Behavior.Public.Answer != natprobe.Yes
}

// hairpin is whether the NAT of both turns packets around. It is one NAT: where
// the answers differ, or nobody has one, it is unknown.
func (p *Pair) hairpin() natprobe.Answer {
	a, b := p.Initiator.Behavior.Hairpin.Answer, p.Target.Behavior.Hairpin.Answer
	switch {
	case a == natprobe.Unknown:
		return b
	case b == natprobe.Unknown || a == b:
		return a
	}
	return natprobe.Unknown
}
