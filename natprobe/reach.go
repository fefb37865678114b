package natprobe

import (
	"fmt"
	"slices"
	"strings"
)

// Reach is which kinds of peers a host meets, by name, an introducer helping.
type Reach struct {
	Direct []string `json:"direct"`
	Relay  []string `json:"relay,omitempty"`
	Unsure []string `json:"unsure,omitempty"`
	Never  []string `json:"never,omitempty"`
}

func (r *Reach) of() int { return len(r.Direct) + len(r.Relay) + len(r.Unsure) + len(r.Never) }

// clause is the part of a verdict behind its colon.
func (r *Reach) clause() string {
	var parts []string
	if len(r.Direct) > 0 || len(r.Unsure) == 0 {
		parts = append(parts, fmt.Sprintf("direct to %d of %d kinds of peers", len(r.Direct), r.of()))
	}
	if len(r.Unsure) > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d cannot be told", len(r.Unsure), r.of()))
	}
	if len(r.Relay) > 0 {
		parts = append(parts, "relay needed for "+list(r.Relay))
	}
	if len(r.Never) > 0 {
		parts = append(parts, "cannot meet "+list(r.Never))
	}
	return strings.Join(parts, "; ")
}

// list joins names as in a sentence, each once, and without those that another one
// includes: "symmetric NATs" those "symmetric NATs with stepping ports".
func list(names []string) string {
	var once []string
	for _, n := range names {
		included := slices.ContainsFunc(names, func(other string) bool { return strings.HasPrefix(n, other+" ") })
		if !included && !slices.Contains(once, n) {
			once = append(once, n)
		}
	}
	switch len(once) {
	case 0:
		return ""
	case 1:
		return once[0]
	}
	last := len(once) - 1
	return strings.Join(once[:last], ", ") + " and " + once[last]
}

// Describe says in plain words what b is, as far as it is known.
func (b Behavior) Describe() string {
	switch b.Class() {
	case Public:
		return "public host, no filter"
	case Firewall:
		return "public host behind a stateful firewall"
	case FullCone:
		return "full cone NAT, endpoint-independent mapping and filtering"
	case AddressRestricted:
		return "NAT with endpoint-independent mapping, address-restricted"
	case PortRestricted:
		return "home router, endpoint-independent mapping, port-restricted"
	case SymmetricRandom:
		return "symmetric NAT, " + dependence(b) + ", ports that cannot be predicted"
	case SymmetricStepping:
		return fmt.Sprintf("symmetric NAT, %s, ports that step by %+d", dependence(b), b.Step)
	case SymmetricOpenFilter:
		return "symmetric NAT with an open filter, " + dependence(b)
	case Blocked:
		return "firewall that lets UDP out to few ports or addresses"
	case Silent:
		return "host that answers no introductions"
	case ClassUnknown:
	}
	return b.describePart()
}

// describePart is for what fits no class: not enough is known.
func (b Behavior) describePart() string {
	filtering := ", filtering " + b.Filtering.String()
	switch {
	case b.Mapping.Dependent():
		return "symmetric NAT, " + dependence(b) + filtering
	case b.Public.Answer == Yes:
		return "public host" + filtering
	case b.Public.Answer == No:
		return "NAT, mapping " + b.Mapping.String() + filtering
	}
	return "a host, mapping " + b.Mapping.String() + filtering
}

func dependence(b Behavior) string {
	switch b.Mapping {
	case ADM:
		return "a port for each address"
	case APDM:
		return "a port for each destination"
	default:
		return "ports that change with the destination"
	}
}
