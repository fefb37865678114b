package lab

import "net/netip"

// Kind is a kind of site: a host, or two, and what stands between it and
// everybody else.
type Kind struct {
	Name string
	Text string

	// Hosts is how many hosts a site of this kind has.
	Hosts int

	// Chain are the NATs and firewalls on the way out, the host's own side
	// first, without their public addresses. Chain6 are those for IPv6, where
	// the kind HasIPv6.
	Chain   []Behavior
	Chain6  []Behavior
	HasIPv6 bool

	// UserSpace means that the NAT is the exact one of this package also where the
	// kernel could be one like it.
	UserSpace bool

	// Segments means that the hosts of a site cannot reach each other by their
	// own addresses; Homes that each has a router of its own, the first of Chain;
	// HostFirewalls that each host itself keeps out what is unsolicited.
	Segments, Homes, HostFirewalls bool

	// Looks is what probing from a host finds.
	Looks Looks
}

// Looks is a chain as seen from its two ends.
type Looks struct {
	Mapping    Mapping
	Filtering  Filtering
	Allocation Allocation // PreservePort, StepPort or RandomPort; of no meaning without translation
	Hairpin    bool
}

// FirstNodeAddress and SecondNodeAddress are where the node is, in every lab.
var (
	FirstNodeAddress  = netip.MustParseAddr("192.0.2.1")
	SecondNodeAddress = netip.MustParseAddr("192.0.2.2")
)

// NodePort is the node's main port.
const NodePort = 1935

// The building blocks. homeRouter and symmetric are what Linux does.
var (
	firewall   = Behavior{Filtering: AddressAndPortDependentFiltering}
	homeRouter = Behavior{
		Mapping: AddressAndPortDependentMapping, Filtering: AddressAndPortDependentFiltering, Allocation: PreserveFlowPort,
	}
	symmetric = Behavior{
		Mapping: AddressAndPortDependentMapping, Filtering: AddressAndPortDependentFiltering, Allocation: RandomPort,
	}
	// hairpinning is a home router that Linux cannot be.
	hairpinning = Behavior{
		Mapping: EndpointIndependentMapping, Filtering: AddressAndPortDependentFiltering, Hairpin: true,
	}
)

// The looks that several kinds share.
var (
	looksHome      = Looks{Mapping: EndpointIndependentMapping, Filtering: AddressAndPortDependentFiltering}
	looksSymmetric = Looks{Mapping: AddressAndPortDependentMapping, Filtering: AddressAndPortDependentFiltering, Allocation: RandomPort}
	looksOpen      = Looks{Mapping: EndpointIndependentMapping, Filtering: EndpointIndependentFiltering}
	looksHairpin   = Looks{Mapping: EndpointIndependentMapping, Filtering: AddressAndPortDependentFiltering, Hairpin: true}
)

func with(b Behavior, f func(*Behavior)) Behavior {
	f(&b)
	return b
}

// Kinds are all there are, in the order in which tables list them.
func Kinds() []Kind {
	return []Kind{
		{Name: "N0", Text: "public host", Hosts: 1, Looks: Looks{Filtering: EndpointIndependentFiltering}},
		{
			Name: "N1", Text: "stateful firewall, no NAT", Hosts: 1,
			Chain: []Behavior{firewall}, Looks: Looks{Filtering: AddressAndPortDependentFiltering},
		},
		userSpace("N2", "full cone", Behavior{Mapping: EndpointIndependentMapping}),
		{
			Name: "N2k", Text: "full cone: a home router that forwards every port", Hosts: 1,
			Chain: []Behavior{{Mapping: EndpointIndependentMapping, Forwards: true}}, Looks: looksOpen,
		},
		userSpace("N3", "address-restricted cone", Behavior{Mapping: EndpointIndependentMapping, Filtering: AddressDependentFiltering}),
		userSpace("N3r", "address-restricted cone, random ports", Behavior{
			Mapping: EndpointIndependentMapping, Filtering: AddressDependentFiltering, Allocation: RandomPort,
		}),
		{Name: "N4", Text: "home router: keeps ports", Hosts: 1, Chain: []Behavior{homeRouter}, Looks: looksHome},
		{
			Name: "N4i", Text: "bare masquerade: early packets take ports", Hosts: 1,
			Chain: []Behavior{with(homeRouter, func(b *Behavior) { b.Unsolicited = true })}, Looks: looksHome,
		},
		userSpace("N4u", "port-restricted cone: keeps ports", Behavior{Mapping: EndpointIndependentMapping, Filtering: AddressAndPortDependentFiltering}),
		{Name: "N5", Text: "symmetric, random ports", Hosts: 1, Chain: []Behavior{symmetric}, Looks: looksSymmetric},
		{
			Name: "N5i", Text: "N5 without a filter of its own", Hosts: 1,
			Chain: []Behavior{with(symmetric, func(b *Behavior) { b.Unsolicited = true })}, Looks: looksSymmetric,
		},
		userSpace("N5u", "N5, exact", symmetric),
		userSpace("N5a", "random ports by address, address-restricted", Behavior{
			Mapping: AddressDependentMapping, Filtering: AddressDependentFiltering, Allocation: RandomPort,
		}),
		userSpace("N6", "symmetric, ports step by 1", with(symmetric, func(b *Behavior) { b.Allocation = StepPort })),
		userSpace("N6a", "N6, address-restricted", with(symmetric, func(b *Behavior) {
			b.Allocation, b.Filtering = StepPort, AddressDependentFiltering
		})),
		userSpace("N7", "symmetric, random ports, open filter", with(symmetric, func(b *Behavior) { b.Filtering = EndpointIndependentFiltering })),
		userSpace("N7s", "symmetric, ports step by 1, open filter", with(symmetric, func(b *Behavior) {
			b.Allocation, b.Filtering = StepPort, EndpointIndependentFiltering
		})),
		{Name: "N8", Text: "home router behind a carrier NAT", Hosts: 1, Chain: []Behavior{homeRouter, homeRouter}, Looks: looksHome},
		{Name: "N8x", Text: "home router behind a symmetric carrier NAT", Hosts: 1, Chain: []Behavior{homeRouter, symmetric}, Looks: looksSymmetric},

		{Name: "N9", Text: "two hosts behind one home router", Hosts: 2, Chain: []Behavior{homeRouter}, Looks: looksHome},
		{Name: "N9f", Text: "N9, firewalls on the hosts", Hosts: 2, Chain: []Behavior{homeRouter}, HostFirewalls: true, Looks: looksHome},
		{Name: "N9s", Text: "N9, LAN segments apart", Hosts: 2, Chain: []Behavior{homeRouter}, Segments: true, Looks: looksHome},
		{Name: "N9y", Text: "two hosts behind one symmetric NAT", Hosts: 2, Chain: []Behavior{symmetric}, Looks: looksSymmetric},
		{Name: "N9c", Text: "two homes behind one carrier NAT", Hosts: 2, Chain: []Behavior{homeRouter, homeRouter}, Homes: true, Looks: looksHome},
		{Name: "N10", Text: "N9, with hairpin", Hosts: 2, Chain: []Behavior{hairpinning}, Looks: looksHairpin},
		{Name: "N10s", Text: "N9s, with hairpin", Hosts: 2, Chain: []Behavior{hairpinning}, Segments: true, Looks: looksHairpin},
		{Name: "N10c", Text: "N9c, with hairpin at the carrier", Hosts: 2, Chain: []Behavior{homeRouter, hairpinning}, Homes: true, Looks: looksHairpin},

		{
			Name: "N11", Text: "home router, UDP to port 1935 only", Hosts: 1, Looks: looksHome,
			Chain: []Behavior{with(homeRouter, func(b *Behavior) {
				b.Egress = []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), NodePort)}
			})},
		},
		{
			Name: "N11s", Text: "home router, UDP to the node's first address only", Hosts: 1, Looks: looksHome,
			Chain: []Behavior{with(homeRouter, func(b *Behavior) {
				b.Egress = []netip.AddrPort{netip.AddrPortFrom(FirstNodeAddress, NodePort)}
			})},
		},
		{
			Name: "N12", Text: "IPv4 symmetric, IPv6 with a firewall", Hosts: 1, Chain: []Behavior{symmetric},
			Chain6: []Behavior{firewall}, HasIPv6: true, Looks: looksSymmetric,
		},
	}
}

// userSpace is a kind with one NAT that does as it looks.
func userSpace(name, text string, b Behavior) Kind {
	return Kind{
		Name: name, Text: text, Hosts: 1, Chain: []Behavior{b}, UserSpace: true,
		Looks: Looks{Mapping: b.Mapping, Filtering: b.Filtering, Allocation: b.Allocation, Hairpin: b.Hairpin},
	}
}

// KindNamed is the kind of that name.
func KindNamed(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}
