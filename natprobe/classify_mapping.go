package natprobe

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// mapping compares where answers to the node's addresses came from.
func (e *evidence) mapping() (Mapping, Finding) {
	points := those(e.mappings, answered)
	by := sum{tries: total(e.mappings).tries}
	at := make(map[netip.Addr][]netip.AddrPort) // node address to what its ports saw, but the main one
	for _, o := range points {
		at[o.Node.Addr()] = append(at[o.Node.Addr()], o.Seen)
		if o.Seen == e.seen {
			by.hits++
		}
		if o.At.After(by.at) {
			by.at = o.At
		}
	}
	m := mappingOf(e.seen, e.main.Addr(), at, e.steady(by.at))
	// Who reaches nothing but the main port, wherever it is, looks like EIM there.
	if e.early && !slices.ContainsFunc(points, func(o Observation) bool { return o.Node.Port() != e.main.Port() }) {
		m = MappingUnknown
	}
	if m == MappingUnknown || !e.undisturbed() {
		return MappingUnknown, by.finding(Unknown)
	}
	return m, by.finding(Yes)
}

// undisturbed reports whether every answer towards the main address came from
// where the host is observed.
func (e *evidence) undisturbed() bool {
	return e.seen.IsValid() && !slices.ContainsFunc(e.mappingControls, func(o Observation) bool {
		return answered(o) && o.Seen != e.seen
	})
}

// steady reports whether an answer towards the main address still came from
// there after t: no mapping that expired explains what differs.
func (e *evidence) steady(t time.Time) bool {
	return e.willing(e.mappingControls, t) && e.undisturbed()
}

// mappingOf decides from what the ports of each node address saw. A mapping that
// expired meanwhile shows as one change; so more than one change, or steady, is
// needed to call a mapping dependent.
func mappingOf(seen netip.AddrPort, main netip.Addr, at map[netip.Addr][]netip.AddrPort, steady bool) Mapping {
	same := at[main]
	sameEqual := allEqual(same, seen)
	others := make(map[netip.Addr][]netip.AddrPort, len(at))
	maps.Copy(others, at)
	delete(others, main)
	othersEqual, othersDiffer, othersDistinct, othersUniform := true, true, false, true
	for _, group := range others {
		othersEqual = othersEqual && allEqual(group, seen)
		othersDiffer = othersDiffer && !slices.Contains(group, seen)
		othersDistinct = othersDistinct || len(group) > 1 && allDistinct(group)
		othersUniform = othersUniform && allEqual(group, group[0])
	}
	sameDistinct := len(same) > 0 && !slices.Contains(same, seen) && allDistinct(same)

	switch {

	case len(others) == 0 && len(same) == 0:
		return MappingUnknown
	case sameEqual && len(others) == 0:
		return MappingNotAPDM
	case sameEqual && othersEqual: // also with no other port on the main address
		return EIM
	case !othersDiffer:
		return MappingUnknown // here the same, there not
	case changes(same, seen) > 1: // of random ports in a block two may be equal
		return APDM
	case sameDistinct && (len(same) > 1 || othersDistinct || steady):
		return APDM
	case len(same) == 0 && othersDistinct:
		return APDM
	case len(same) > 0 && sameEqual && othersUniform && steady:
		return ADM
	case len(same) == 0 && steady:
		return MappingNotEIM
	}
	return MappingUnknown
}

func allEqual(addrs []netip.AddrPort, to netip.AddrPort) bool {
	return !slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return a != to })
}

func allDistinct(addrs []netip.AddrPort) bool {
	return len(addrs) == 0 || changes(addrs[1:], addrs[0]) == len(addrs)-1
}

// changes is how many addresses there are besides first.
func changes(addrs []netip.AddrPort, first netip.AddrPort) int {
	set := map[netip.AddrPort]bool{first: true}
	for _, a := range addrs {
		set[a] = true
	}
	return len(set) - 1
}

// minPooled is how many further mappings on one public address speak for it being
// the only one.
const minPooled = 3

func (e *evidence) pooling() Finding {
	var s sum
	for _, o := range slices.Concat(e.mappings, e.sockets) {
		if !answered(o) {
			continue
		}
		s.tries++
		if o.Seen.Addr() != e.seen.Addr() {
			s.hits++
		}
		if o.At.After(s.at) {
			s.at = o.At
		}
	}
	switch {
	case !e.seen.IsValid():
		return Finding{}
	case s.hits > 0:
		return s.finding(Yes)
	case s.tries >= minPooled:
		return s.finding(No)
	}
	return s.finding(Unknown)
}
