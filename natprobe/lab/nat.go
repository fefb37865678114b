package lab

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Packet is what a NAT reads and writes of a UDP packet.
type Packet struct {
	Src, Dst netip.AddrPort
}

// Fate is where a packet goes.
type Fate uint8

const (
	ToOutside Fate = iota
	ToInside
	DroppedFiltered     // no mapping, or its filter says no
	DroppedEgress       // not allowed out
	DroppedHairpin      // to an own public address, which this NAT does not serve
	DroppedNoPort       // no port, or no mapping, is left
	DroppedFamily       // no public address of the packet's family
	numFates        = 7 // for counting
)

// Dropped reports whether the packet goes nowhere.
func (f Fate) Dropped() bool { return f > ToInside }

// NAT is a translator between an inside and an outside. It has no clock, no
// sockets and no locks; now must not go backwards.
type NAT struct {
	b       Behavior
	random  *rand.Rand
	flows   map[flowKey]*mapping    // by what is inside
	outside map[outsideKey]*mapping // by what is outside
	taken   map[outsideKey]time.Time
	paired  map[netip.Addr]netip.Addr
	last    map[netip.Addr]uint16 // the port given out last, of each public address
	sweep   time.Time
	counts  [numFates]uint64
}

// flowKey is what decides about a mapping: the inside socket, and as much of
// the destination as the NAT looks at.
type flowKey struct {
	inside, remote netip.AddrPort
}

// outsideKey finds a mapping for a packet from outside. remote is set only
// where mappings share ports.
type outsideKey struct {
	public, remote netip.AddrPort
}

type mapping struct {
	flow    flowKey
	out     outsideKey
	expires time.Time
	allowed map[netip.AddrPort]time.Time // what the filter lets in, until when; nil: anybody
}

// NewNAT makes a NAT. It panics if b does not validate.
func NewNAT(b Behavior) *NAT {
	if err := b.Validate(); err != nil {
		panic(err)
	}
	if b.Step == 0 {
		b.Step = 1
	}
	if b.Ports[1] == 0 {
		b.Ports = [2]uint16{1024, 65535}
	}
	if b.Lifetime == 0 {
		b.Lifetime = DefaultLifetime
	}
	if b.MaxMappings == 0 {
		b.MaxMappings = DefaultMaxMappings
	}
	return &NAT{
		b:       b,
		random:  rand.New(rand.NewPCG(b.Seed, 0x6e6174)),
		flows:   make(map[flowKey]*mapping),
		outside: make(map[outsideKey]*mapping),
		taken:   make(map[outsideKey]time.Time),
		paired:  make(map[netip.Addr]netip.Addr),
		last:    make(map[netip.Addr]uint16),
	}
}

// Behavior is what the NAT was made of, with the defaults filled in.
func (n *NAT) Behavior() Behavior { return n.b }

// Count is how many packets had that fate.
func (n *NAT) Count(f Fate) uint64 { return n.counts[f] }

// Mappings is how many there are, expired ones included until they are swept.
func (n *NAT) Mappings() int { return len(n.flows) }

// Outbound translates a packet from an inside host. Its fate is ToOutside, or
// ToInside if it comes back by hairpin, or a reason to drop it.
func (n *NAT) Outbound(now time.Time, p Packet) (Packet, Fate) {
	p, f := n.outbound(now, p)
	n.counts[f]++
	return p, f
}

// Inbound translates a packet from outside. Its fate is ToInside, or a reason
// to drop it.
func (n *NAT) Inbound(now time.Time, p Packet) (Packet, Fate) {
	n.clean(now)
	p, f := n.inbound(now, p)
	n.counts[f]++
	return p, f
}

func (n *NAT) outbound(now time.Time, p Packet) (Packet, Fate) {
	n.clean(now)
	if !n.mayLeave(p.Dst) {
		return p, DroppedEgress
	}
	back := slices.Contains(n.b.Public, p.Dst.Addr())
	if back && !n.b.Hairpin {
		return p, DroppedHairpin
	}
	m, f := n.mapped(now, p)
	if m == nil {
		return p, f
	}
	m.expires = now.Add(n.b.Lifetime)
	m.permit(n.permission(p.Dst))
	p.Src = m.out.public
	if back {
		return n.inbound(now, p)
	}
	return p, ToOutside
}

func (n *NAT) mayLeave(dst netip.AddrPort) bool {
	if len(n.b.Egress) == 0 {
		return true
	}
	return slices.ContainsFunc(n.b.Egress, func(e netip.AddrPort) bool {
		return (e.Addr().IsUnspecified() || e.Addr() == dst.Addr()) && (e.Port() == 0 || e.Port() == dst.Port())
	})
}

func (n *NAT) inbound(now time.Time, p Packet) (Packet, Fate) {
	key := outsideKey{public: p.Dst}
	if n.sharesPorts() {
		key.remote = p.Src
	}
	m := n.outside[key]
	if m == nil || !now.Before(m.expires) {
		if n.b.Mapping == NoTranslation && n.b.Filtering == EndpointIndependentFiltering {
			return p, ToInside
		}
		if n.b.Unsolicited && n.sharesPorts() && slices.Contains(n.b.Public, p.Dst.Addr()) && len(n.taken) < n.b.MaxMappings {
			n.taken[key] = now.Add(n.b.Lifetime)
		}
		return p, DroppedFiltered
	}
	if m.allowed != nil {
		until, ok := m.allowed[n.permission(p.Src)]
		if !ok || !now.Before(until) {
			return p, DroppedFiltered
		}
	}
	if n.b.InboundRefresh {
		m.expires = now.Add(n.b.Lifetime)
		m.permit(n.permission(p.Src))
	}
	p.Dst = m.flow.inside
	return p, ToInside
}

// maxPermissions bounds what the filter of one mapping remembers.
const maxPermissions = 4096

// permit lets remote in for as long as the mapping lives from now on.
func (m *mapping) permit(remote netip.AddrPort) {
	if m.allowed == nil {
		return
	}
	if _, ok := m.allowed[remote]; ok || len(m.allowed) < maxPermissions {
		m.allowed[remote] = m.expires
	}
}

func (n *NAT) sharesPorts() bool {
	return n.b.Mapping != NoTranslation && n.b.Allocation == PreserveFlowPort
}

// permission is as much of a remote address as the filter looks at.
func (n *NAT) permission(remote netip.AddrPort) netip.AddrPort {
	if n.b.Filtering == AddressDependentFiltering {
		return netip.AddrPortFrom(remote.Addr(), 0)
	}
	return remote
}

// mapped is the mapping of an outgoing packet, made if need be.
func (n *NAT) mapped(now time.Time, p Packet) (*mapping, Fate) {
	key := flowKey{inside: p.Src}
	switch n.b.Mapping {
	case AddressDependentMapping:
		key.remote = netip.AddrPortFrom(p.Dst.Addr(), 0)
	case AddressAndPortDependentMapping:
		key.remote = p.Dst
	case NoTranslation, EndpointIndependentMapping:
	}
	if m := n.flows[key]; m != nil {
		if now.Before(m.expires) {
			return m, ToOutside
		}
		n.forget(m)
	}
	if len(n.flows) >= n.b.MaxMappings {
		return nil, DroppedNoPort
	}
	out := outsideKey{public: p.Src}
	if n.b.Mapping != NoTranslation {
		ip, ok := n.publicFor(p.Src.Addr())
		if !ok {
			return nil, DroppedFamily
		}
		if out, ok = n.allocate(now, ip, p); !ok {
			return nil, DroppedNoPort
		}
	}
	m := &mapping{flow: key, out: out}
	if n.b.Filtering != EndpointIndependentFiltering {
		m.allowed = make(map[netip.AddrPort]time.Time, 1)
	}
	n.flows[key] = m
	n.outside[out] = m
	return m, ToOutside
}

func (n *NAT) publicFor(inside netip.Addr) (netip.Addr, bool) {
	if ip, ok := n.paired[inside]; ok && !n.b.Arbitrary {
		return ip, true
	}
	var fit []netip.Addr
	for _, ip := range n.b.Public {
		if ip.Is4() == inside.Is4() {
			fit = append(fit, ip)
		}
	}
	if len(fit) == 0 {
		return netip.Addr{}, false
	}
	ip := fit[n.random.IntN(len(fit))]
	if len(n.paired) < n.b.MaxMappings {
		n.paired[inside] = ip
	}
	return ip, true
}

func (n *NAT) forget(m *mapping) {
	delete(n.flows, m.flow)
	delete(n.outside, m.out)
}

// clean forgets what expired, at most once in a while: lookups check by
// themselves.
func (n *NAT) clean(now time.Time) {
	if now.Before(n.sweep) && len(n.flows) < n.b.MaxMappings {
		return
	}
	n.sweep = now.Add(min(n.b.Lifetime, time.Second))
	for _, m := range n.flows {
		if !now.Before(m.expires) {
			n.forget(m)
			continue
		}
		for remote, until := range m.allowed {
			if !now.Before(until) {
				delete(m.allowed, remote)
			}
		}
	}
	for key, until := range n.taken {
		if !now.Before(until) {
			delete(n.taken, key)
		}
	}
}
