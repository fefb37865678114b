package introducer

import (
	"net/netip"
	"slices"

	"pileus/natprobe"
	"pileus/rtmfp/amf"
)

// connectivityApp is the application path at which a client is told what its
// NAT does.
const connectivityApp = "connectivity"

// reportConnectivity sends the event that Flash applications know, computed from
// what was seen, and the node's own words for it. What is not known is left out:
// the event has no way to say so.
func (p *Peer) reportConnectivity(obs []natprobe.Observation) {
	b := p.behavior
	members := []amf.Member{
		{Name: "publicAddress", Value: amf.String(p.Addr().String())},
		{Name: "publicAddressIsLocal", Value: amf.Boolean(slices.ContainsFunc(p.reported, func(a netip.AddrPort) bool {
			return a.Addr() == p.Addr().Addr()
		}))},
		{Name: "publicPortMatchesLocalPort", Value: amf.Boolean(slices.ContainsFunc(p.reported, func(a netip.AddrPort) bool {
			return a.Port() == p.Addr().Port()
		}))},
	}
	add := func(name string, v natprobe.Answer) {
		if v != natprobe.Unknown {
			members = append(members, amf.Member{Name: name, Value: amf.Boolean(v == natprobe.Yes)})
		}
	}
	// Filtering was asked from another port of the same address and from
	// another address (WIRE names: receive…Allowed).
	switch b.Filtering {
	case natprobe.EIF:
		add("receiveSameAddressDifferentPortAllowed", natprobe.Yes)
		add("receiveDifferentAddressDifferentPortAllowed", natprobe.Yes)
	case natprobe.ADF:
		add("receiveSameAddressDifferentPortAllowed", natprobe.Yes)
		add("receiveDifferentAddressDifferentPortAllowed", natprobe.No)
	case natprobe.APDF:
		add("receiveSameAddressDifferentPortAllowed", natprobe.No)
		add("receiveDifferentAddressDifferentPortAllowed", natprobe.No)
	case natprobe.FilteringNotEIF:
		add("receiveDifferentAddressDifferentPortAllowed", natprobe.No)
	case natprobe.FilteringNotAPDF:
		add("receiveSameAddressDifferentPortAllowed", natprobe.Yes)
	case natprobe.FilteringUnknown:
	}
	allowed, address, port := natprobe.Unknown, natprobe.Unknown, natprobe.Unknown
	for _, o := range obs {
		if o.Kind != natprobe.KindMapping || o.Hits == 0 {
			continue
		}
		allowed = natprobe.Yes
		address = and(address, o.Seen.Addr() == p.Addr().Addr())
		port = and(port, o.Seen.Port() == p.Addr().Port())
	}
	if b.BlockedRoutes.Answer == natprobe.Yes {
		allowed = natprobe.No
	}
	add("sendAfterIntroductionAllowed", allowed)
	add("sendAfterIntroductionPreservesSourceAddress", address)
	add("sendAfterIntroductionPreservesSourcePort", port)
	members = append(members,
		amf.Member{Name: "mapping", Value: amf.String(b.Mapping.String())},
		amf.Member{Name: "filtering", Value: amf.String(b.Filtering.String())},
		amf.Member{Name: "natClass", Value: amf.String(b.Class().String())},
		amf.Member{Name: "advice", Value: amf.String(advice(b.Class()))})
	if b.Allocation == natprobe.Stepping {
		members = append(members, amf.Member{Name: "portStep", Value: amf.Number(b.Step)})
	}
	// A client that is gone hears nothing.
	_ = p.conn.Status("status", "NetConnection.ConnectivityCheck.Results", "What this network does to UDP.", members...)
}

func and(a natprobe.Answer, same bool) natprobe.Answer {
	switch {
	case !same:
		return natprobe.No
	case a == natprobe.Unknown:
		return natprobe.Yes
	default:
		return a
	}
}

// advice is what a person can do about a class.
func advice(c natprobe.Class) string {
	switch c {
	case natprobe.Public, natprobe.FullCone:
		return "Everybody can reach you directly. Nothing to do."
	case natprobe.Firewall, natprobe.AddressRestricted, natprobe.PortRestricted:
		return "You reach most others directly; those behind a symmetric NAT need a relay."
	case natprobe.SymmetricRandom, natprobe.SymmetricStepping, natprobe.SymmetricOpenFilter:
		return "Your NAT gives each destination another port: with many others you need a relay. A router set to full cone, or a port forwarding, would help."
	case natprobe.Blocked:
		return "Your firewall lets UDP out to few ports only: you need a relay. Ask for UDP to be let out."
	case natprobe.Silent:
		return "Your player does not answer introductions: peer-to-peer is switched off in it (for Flash, RTMFPP2PDisable in mms.cfg)."
	default:
		return "Not everything could be found out. Direct connections may work."
	}
}
