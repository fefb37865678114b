// Package guard says to which addresses a relay may send: never into the node's
// own machine or network, in whatever spelling the address comes.
package guard

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"pileus/rtmfp/udp"
)

// Config says what a Guard lets through beyond public addresses.
type Config struct {
	// AllowPrivate lets private, unique-local and carrier-grade addresses pass: a
	// lab, or one site. Everything else stays refused.
	AllowPrivate bool
	// AllowLoopback is for tests on one machine.
	AllowLoopback bool
	// AllowOnLink are neighbours of this machine that may be sent to, though they are
	// in a subnet of one of its interfaces.
	AllowOnLink []netip.Prefix
	// Names are what the machine's addresses are called outside a 1:1 NAT: the node,
	// too.
	Names udp.Names
	// Own are further addresses of the node itself. Port 0 stands for every port of
	// the address. Except are those of the node's addresses that may be sent to all
	// the same: two clients of one TURN server meet at its own relayed addresses.
	Own    []netip.AddrPort
	Except func(netip.AddrPort) bool
}

// Guard judges addresses. It may be shared by goroutines.
type Guard struct {
	config  Config
	machine atomic.Pointer[machine]
}

// A machine is what the Guard knows of the one that it runs on. It is not changed.
type machine struct {
	own   map[netip.AddrPort]struct{}
	alone bool
	links []netip.Prefix // public or IPv6 subnets of its interfaces
}

// New makes a Guard that knows of no machine before Follow.
func New(c Config) *Guard {
	g := &Guard{config: c}
	g.Follow(nil, false)
	return g
}

// Follow replaces what is known of the machine by the addresses that it has now; alone
// says that nobody but the machine itself is served, and loopback is no other than
// others. It holds for what is judged from now on.
func (g *Guard) Follow(list []udp.Address, alone bool) {
	m := &machine{alone: alone, own: make(map[netip.AddrPort]struct{}, len(g.config.Own)+2*len(list))}
	for _, a := range g.config.Own {
		m.own[plain(a)] = struct{}{}
	}
	for _, a := range list {
		if a.Addr.IsLoopback() {
			continue // judged by its kind
		}
		at := netip.AddrPortFrom(a.Addr, 0)
		m.own[at] = struct{}{}
		m.own[plain(g.config.Names.Outside(at))] = struct{}{}
		if link := a.Link; link.Bits() > 0 && link != netip.PrefixFrom(a.Addr, a.Addr.BitLen()) && !slices.Contains(m.links, link) {
			m.links = append(m.links, link)
		}
	}
	g.machine.Store(m)
}

// Links are the subnets whose hosts are refused because they are this machine's
// neighbours: those that no other rule is about.
func (g *Guard) Links() []netip.Prefix {
	var list []netip.Prefix
	m := g.machine.Load()
	for _, l := range m.links {
		if g.check(m, l.Addr()) == Allowed && !udp.IsPrivate(l.Addr()) && !slices.Contains(g.config.AllowOnLink, l) {
			list = append(list, l)
		}
	}
	return list
}

// An Epoch stands for what is known of the machine. A verdict holds as long as the
// Guard's Epoch is the same.
type Epoch struct{ of *machine }

// Epoch is that of now.
func (g *Guard) Epoch() Epoch { return Epoch{g.machine.Load()} }

// Verdict is what a Guard thinks of an address: Allowed, or why it is refused.
type Verdict uint8

// The verdicts, a closed list for counters.
const (
	Allowed     Verdict = iota
	Invalid             // no address, port 0, or a zone
	Unspecified         // 0.0.0.0/8, ::
	Loopback            // 127/8, ::1
	LinkLocal           // 169.254/16 with the metadata services of clouds, fe80::/10
	Private             // RFC 1918, RFC 6598, unique-local and site-local IPv6
	Multicast           // also broadcast
	Reserved            // 240/4 and 192.0.0.0/24: no host has these
	Translated          // IPv6 that stands for an IPv4 address
	Own                 // the node itself
	OnLink              // a neighbour: in a public or IPv6 subnet of the node's machine
)

// numVerdicts is how many there are.
const numVerdicts = int(OnLink) + 1

var verdictNames = [numVerdicts]string{
	"allowed", "invalid", "unspecified", "loopback", "link-local", "private", "multicast", "reserved", "translated", "own", "on-link",
}

func (v Verdict) String() string { return verdictNames[v] }

// translated are the IPv6 prefixes in which an IPv4 address is hidden: a relay
// that judged only the outer one would reach 127.0.0.1 as 64:ff9b::7f00:1.
// IPv4-mapped addresses are judged as the IPv4 addresses they are.
var translated = []netip.Prefix{
	netip.MustParsePrefix("::/96"),           // IPv4-compatible, RFC 4291 2.5.5.1
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated, RFC 2765
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64, RFC 6052
	netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64 of one's own, RFC 8215
	netip.MustParsePrefix("2002::/16"),       // 6to4, RFC 3056
	netip.MustParsePrefix("2001::/32"),       // Teredo, RFC 4380
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	reserved    = []netip.Prefix{netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("192.0.0.0/24")}
	broadcast   = netip.MustParseAddr("255.255.255.255")
	siteLocal   = netip.MustParsePrefix("fec0::/10") // RFC 3879
)

// Check judges an address to send to.
func (g *Guard) Check(a netip.AddrPort) Verdict {
	if !a.IsValid() || a.Port() == 0 || a.Addr().Zone() != "" {
		return Invalid
	}
	a = plain(a)
	m := g.machine.Load()
	if v := g.check(m, a.Addr()); v != Allowed {
		return v
	}
	if m.owns(a) {
		if g.config.Except != nil && g.config.Except(a) {
			return Allowed
		}
		return Own
	}
	return g.onLink(m, a.Addr())
}

// CheckClient is Check for an address of a client that has proven, by a session with
// the node, that verified is where it is: it gets there what it asked for, whatever
// network that is in.
func (g *Guard) CheckClient(a netip.AddrPort, verified netip.Addr) Verdict {
	v := g.Check(a)
	if (v == Private || v == OnLink) && a.Addr().Unmap() == verified.Unmap() {
		return Allowed
	}
	return v
}

// CheckAddr is Check for an address of which the port is not known, as in a TURN
// permission: it does not find own addresses, unless all their ports are.
func (g *Guard) CheckAddr(a netip.Addr) Verdict {
	if !a.IsValid() || a.Zone() != "" {
		return Invalid
	}
	a = a.Unmap()
	m := g.machine.Load()
	if v := g.check(m, a); v != Allowed {
		return v
	}
	if m.owns(netip.AddrPortFrom(a, 0)) {
		if g.config.Except != nil {
			return Allowed
		}
		return Own
	}
	return g.onLink(m, a)
}

func (m *machine) owns(a netip.AddrPort) bool {
	_, port := m.own[a]
	_, every := m.own[netip.AddrPortFrom(a.Addr(), 0)]
	return port || every
}

// onLink judges what no other rule refuses. Private addresses have a rule of their
// own, which has let this one through.
func (g *Guard) onLink(m *machine, a netip.Addr) Verdict {
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	if !a.IsLoopback() && !udp.IsPrivate(a) && slices.ContainsFunc(m.links, in) && !slices.ContainsFunc(g.config.AllowOnLink, in) {
		return OnLink
	}
	return Allowed
}

func (g *Guard) check(m *machine, a netip.Addr) Verdict {
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	switch {
	case a.IsUnspecified(), thisNetwork.Contains(a):
		return Unspecified
	case a.IsLoopback():
		if g.config.AllowLoopback || m.alone {
			return Allowed
		}
		return Loopback
	case a.IsMulticast(), a == broadcast:
		return Multicast
	case a.IsLinkLocalUnicast():
		return LinkLocal
	case udp.IsPrivate(a), siteLocal.Contains(a):
		if g.config.AllowPrivate {
			return Allowed
		}
		return Private
	case slices.ContainsFunc(translated, in):
		return Translated
	case slices.ContainsFunc(reserved, in):
		return Reserved
	}
	return Allowed
}

func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
