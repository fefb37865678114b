// Package predict tells which kinds of peers a host meets, from the introducer's
// own strategies.
package predict

import (
	"net/netip"

	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/natprobe/report"
)

// Peer is a kind of peer there is.
type Peer struct {
	Name     string // as natprobe lab calls it
	Text     string
	Plural   string // for a list; kinds that an engineer would not tell apart share one
	Behavior natprobe.Behavior
}

// Peers returns the kinds of peers that a host is held against: the kinds of sites
// of the lab that have one host and one address family.
func Peers() []Peer {
	return []Peer{
		{"N0", "public host", "public hosts", strategy.Typical(natprobe.Public)},
		{"N1", "stateful firewall, no NAT", "firewalled hosts", strategy.Typical(natprobe.Firewall)},
		{"N2", "full cone NAT", "full cone NATs", strategy.Typical(natprobe.FullCone)},
		{"N3", "address-restricted NAT", "address-restricted NATs", strategy.Typical(natprobe.AddressRestricted)},
		{"N4", "home router", "home routers", strategy.Typical(natprobe.PortRestricted)},
		{"N4i", "bare masquerade", "home routers", strategy.Typical(natprobe.PortRestricted)},
		{"N5", "symmetric NAT, random ports", "symmetric NATs", strategy.Typical(natprobe.SymmetricRandom)},
		{"N6", "symmetric NAT, stepping ports", "symmetric NATs with stepping ports", strategy.Typical(natprobe.SymmetricStepping)},
		{"N7", "symmetric NAT, open filter", "symmetric NATs", strategy.Typical(natprobe.SymmetricOpenFilter)},
		{"N8", "home router behind a carrier's NAT", "home routers", strategy.Typical(natprobe.PortRestricted)},
		{"N11", "UDP out to port 1935 only", "hosts whose UDP is blocked", blocked()},
	}
}

func blocked() natprobe.Behavior {
	b := strategy.Typical(natprobe.Blocked)
	b.Reachable = []netip.AddrPort{nodeMain, nodeSecond}
	return b
}

// Reach sorts the kinds of peers by how a host with behaviour b meets them when it
// calls.
func Reach(b natprobe.Behavior) report.Reach {
	var r report.Reach
	for _, p := range Peers() {
		v := strategy.Between(b, p.Behavior)
		switch v.Path {
		case strategy.PathDirect:
			r.Direct = append(r.Direct, p.Plural)
		case strategy.PathRelay:
			r.Relay = append(r.Relay, p.Plural)
		case strategy.PathNone:
			r.Never = append(r.Never, p.Plural)
		case strategy.PathUnsure:
			r.Unsure = append(r.Unsure, p.Plural)
		}
	}
	return r
}

// The node of a prediction: addresses that nobody has (RFC 5737).
var (
	nodeMain   = netip.MustParseAddrPort("192.0.2.1:1935")
	nodeSecond = netip.MustParseAddrPort("192.0.2.2:1935")
)

// Side is a host to predict for: what is known of it.
type Side struct {
	Name     string            `json:"name"`
	Behavior natprobe.Behavior `json:"-"`
	Observed netip.AddrPort    `json:"observed,omitzero"`
	Local    netip.AddrPort    `json:"local,omitzero"`
}

// Of returns the side that a report describes.
func Of(name string, r report.Report) Side {
	return Side{Name: name, Behavior: r.Behavior, Observed: r.Seen, Local: r.Local}
}

// Cell is the verdict on one initiator and one target.
type Cell struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Path     string `json:"path"` // direct, relay, unsure or none
	Strategy string `json:"strategy"`
	Why      string `json:"why"`
}

// Between tells what a node with two addresses and a relay would do for a pair.
func Between(from, to Side) Cell {
	near := from.nearTo(to)
	plan := strategy.Decide(strategy.Pair{
		Initiator: from.side("198.51.100.1:40000", near), Target: to.side("203.0.113.1:40000", near),
		RelayAvailable: true,
	})
	v := strategy.Between(from.Behavior, to.Behavior)
	path := v.Path.String()
	if plan.Strategy == strategy.Lan && v.Path != strategy.PathDirect {
		path = strategy.PathUnsure.String()
	}
	return Cell{from.Name, to.Name, path, plan.Strategy.String(), plan.Why}
}

// nearTo reports whether the two may be told each other's own addresses: they share
// a public one, or their networks look the same.
func (s Side) nearTo(other Side) bool {
	if s.Observed.IsValid() && s.Observed.Addr() == other.Observed.Addr() {
		return true
	}
	if !s.Local.IsValid() || !other.Local.IsValid() {
		return false
	}
	bits := 64
	if s.Local.Addr().Is4() {
		bits = 24
	}
	network, err := s.Local.Addr().Prefix(bits)
	return err == nil && network.Contains(other.Local.Addr())
}

func (s Side) side(otherwise string, near bool) strategy.Side {
	side := strategy.Side{Behavior: s.Behavior, Observed: s.Observed, At: nodeMain}
	if !side.Observed.IsValid() {
		side.Observed = netip.MustParseAddrPort(otherwise)
	}
	if near && s.Local.IsValid() && s.Local != s.Observed {
		side.Reported = []netip.AddrPort{s.Local}
	}
	return side
}

// Matrix is a host against every kind of peer: calling, then called.
func Matrix(host Side) []Cell {
	peers := Peers()
	cells := make([]Cell, 0, 2*len(peers))
	for _, p := range peers {
		cells = append(cells, Between(host, Side{Name: p.Name, Behavior: p.Behavior}))
	}
	for _, p := range peers {
		cells = append(cells, Between(Side{Name: p.Name, Behavior: p.Behavior}, host))
	}
	return cells
}
