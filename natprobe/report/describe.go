package report

import (
	"fmt"

	"pileus/natprobe"
)

// describe says in plain words what b is, as far as it is known. place, if it is known, is
// what does that; else it is called as it usually is.
func describe(b natprobe.Behavior, place string) string {
	translates := b.Public.Answer != natprobe.Yes && place != ""
	switch class := b.Class(); {
	case !translates:
	case class == natprobe.PortRestricted:
		return place + ", endpoint-independent mapping, port-restricted"
	default:
		return place + ": " + describe(b, "")
	}
	switch b.Class() {
	case natprobe.Public:
		return "public host, no filter"
	case natprobe.Firewall:
		return "public host behind a stateful firewall"
	case natprobe.FullCone:
		return "full cone NAT, endpoint-independent mapping and filtering"
	case natprobe.AddressRestricted:
		return "NAT with endpoint-independent mapping, address-restricted"
	case natprobe.PortRestricted:
		return "home router, endpoint-independent mapping, port-restricted"
	case natprobe.SymmetricRandom:
		return "symmetric NAT, " + dependence(b) + ", ports that cannot be predicted"
	case natprobe.SymmetricStepping:
		return fmt.Sprintf("symmetric NAT, %s, ports that step by %+d", dependence(b), b.Step)
	case natprobe.SymmetricOpenFilter:
		return "symmetric NAT with an open filter, " + dependence(b)
	case natprobe.Blocked:
		return "firewall that lets UDP out to few ports or addresses"
	case natprobe.Silent:
		return "host that answers no introductions"
	case natprobe.ClassUnknown:
	}
	return describePart(b)
}

// describePart is for what fits no class: not enough is known.
func describePart(b natprobe.Behavior) string {
	filtering := ", filtering " + b.Filtering.String()
	switch {
	case b.Mapping.Dependent():
		return "symmetric NAT, " + dependence(b) + filtering
	case b.Public.Answer == natprobe.Yes:
		return "public host" + filtering
	case b.Public.Answer == natprobe.No:
		return "NAT, mapping " + b.Mapping.String() + filtering
	}
	return "a host, mapping " + b.Mapping.String() + filtering
}

func dependence(b natprobe.Behavior) string {
	switch b.Mapping {
	case natprobe.ADM:
		return "a port for each address"
	case natprobe.APDM:
		return "a port for each destination"
	default:
		return "ports that change with the destination"
	}
}
