package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Mapping says for which destinations a NAT keeps the port it gave to a socket
// (RFC 4787, section 4.1).
type Mapping uint8

const (
	NoTranslation                  Mapping = iota // a firewall
	EndpointIndependentMapping                    // EIM: one port for all destinations
	AddressDependentMapping                       // ADM: one for each destination address
	AddressAndPortDependentMapping                // APDM: one for each destination
)

func (m Mapping) String() string {
	return [...]string{"none", "EIM", "ADM", "APDM"}[min(m, 3)]
}

// Filtering says from whom a NAT lets packets in to a mapped port (RFC 4787,
// section 5).
type Filtering uint8

const (
	EndpointIndependentFiltering     Filtering = iota // EIF: from anybody
	AddressDependentFiltering                         // ADF: from addresses that were sent to
	AddressAndPortDependentFiltering                  // APDF: from addresses and ports that were sent to
)

func (f Filtering) String() string {
	return [...]string{"EIF", "ADF", "APDF"}[min(f, 2)]
}

// Allocation says which port a new mapping gets.
type Allocation uint8

const (
	// PreservePort keeps the socket's port unless another mapping has it, then
	// takes a random one.
	PreservePort Allocation = iota
	// PreserveFlowPort does so as Linux's masquerade: mappings to different
	// destinations may share a port. It goes with APDM and APDF.
	PreserveFlowPort
	// StepPort takes the last one plus Step.
	StepPort
	// RandomPort takes any of the range.
	RandomPort
)

func (a Allocation) String() string {
	return [...]string{"preserving", "preserving by flow", "stepping", "random"}[min(a, 3)]
}

// DefaultLifetime is how long a mapping outlives its last packet, where a
// Behavior does not say: Linux's figure for UDP.
const DefaultLifetime = 30 * time.Second

// DefaultMaxMappings bounds the mappings of a NAT, where a Behavior does not.
const DefaultMaxMappings = 16384

// Behavior is everything that tells one NAT from another. The zero Behavior is
// a firewall that lets everything through.
type Behavior struct {
	Mapping    Mapping
	Filtering  Filtering
	Allocation Allocation
	Step       int       // of StepPort, negative downwards; 0 is 1
	Ports      [2]uint16 // first and last port to give out; zero is 1024 to 65535

	// Public are the addresses to translate to, one at least for a NAT. A host
	// keeps the one it got (paired pooling) unless Arbitrary.
	Public    []netip.Addr
	Arbitrary bool

	// Lifetime is how long a mapping, and a permission of its filter, outlives
	// the last packet from inside; 0 is DefaultLifetime. With InboundRefresh
	// packets from outside count as well.
	Lifetime       time.Duration
	InboundRefresh bool

	// Hairpin lets inside hosts reach each other at their public addresses; the
	// source they see is the public one (RFC 4787, section 6).
	Hairpin bool

	// Unsolicited is a bare masquerade without a filter: a packet from outside
	// that meets no mapping is not delivered, but takes its addresses and ports
	// for Lifetime, and a flow of the host between the same two gets another
	// port. It needs PreserveFlowPort to show; among random ports it does not.
	Unsolicited bool

	// Forwards is a router that keeps ports and passes every port to its one host,
	// as Linux does by dnat: EIM and EIF.
	Forwards bool

	// ALG rewrites the public address in payloads that come in to the inside one.
	ALG bool

	// Egress lists where packets may go to, all if empty. An unspecified address
	// stands for any, and so does port 0.
	Egress []netip.AddrPort

	MaxMappings int    // 0 is DefaultMaxMappings
	Seed        uint64 // of what is random
}

// Validate reports what contradicts itself.
func (b *Behavior) Validate() error {
	switch {
	case b.Mapping > AddressAndPortDependentMapping || b.Filtering > AddressAndPortDependentFiltering || b.Allocation > RandomPort:
		return errors.New("lab: a behaviour that does not exist")
	case b.Mapping != NoTranslation && len(b.Public) == 0:
		return errors.New("lab: a NAT needs a public address")
	case b.Allocation == PreserveFlowPort && b.Mapping != NoTranslation &&
		(b.Mapping != AddressAndPortDependentMapping || b.Filtering != AddressAndPortDependentFiltering):
		return errors.New("lab: mappings that share a port must be APDM and APDF")
	case b.Unsolicited && (b.Allocation != PreserveFlowPort && b.Allocation != RandomPort || b.Mapping == NoTranslation):
		return errors.New("lab: unsolicited packets take ports of flows only")
	case b.Forwards && (b.Mapping != EndpointIndependentMapping || b.Filtering != EndpointIndependentFiltering || b.Allocation != PreservePort):
		return errors.New("lab: a router that forwards every port is EIM and EIF, and keeps ports")
	case b.Ports[0] > b.Ports[1]:
		return fmt.Errorf("lab: the ports %d to %d are none", b.Ports[0], b.Ports[1])
	case b.Lifetime < 0 || b.MaxMappings < 0:
		return errors.New("lab: a number below 0")
	}
	return nil
}

// String is a short description: "APDM/APDF stepping".
func (b Behavior) String() string {
	if b.Mapping == NoTranslation {
		return "no NAT/" + b.Filtering.String()
	}
	return fmt.Sprintf("%v/%v %v", b.Mapping, b.Filtering, b.Allocation)
}
