// Package guard says to which addresses a relay may send: never into the node's
// own machine or network, in whatever spelling the address comes.
package guard

import (
	"net/netip"
	"slices"

	"pileus/rtmfp/udp"
)

// Config says what a Guard lets through beyond public addresses.
type Config struct {
	// AllowPrivate lets private, unique-local and carrier-grade addresses pass: a
	// lab, or one site. Everything else stays refused.
	AllowPrivate bool
	// AllowLoopback is for tests on one machine.
	AllowLoopback bool
	// Own are addresses of the node itself, inside and outside a 1:1 NAT. Port 0
	// stands for every port of the address. Except are those among them that may
	// be sent to all the same: two clients of one TURN server meet at its own
	// relayed addresses.
	Own    []netip.AddrPort
	Except func(netip.AddrPort) bool
}

// Guard judges addresses. It is immutable and may be shared.
type Guard struct {
	config Config
	own    map[netip.AddrPort]struct{}
}

// New makes a Guard.
func New(c Config) *Guard {
	g := &Guard{config: c, own: make(map[netip.AddrPort]struct{}, len(c.Own))}
	for _, a := range c.Own {
		g.own[plain(a)] = struct{}{}
	}
	return g
}

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
)

// numVerdicts is how many there are.
const numVerdicts = int(Own) + 1

var verdictNames = [numVerdicts]string{
	"allowed", "invalid", "unspecified", "loopback", "link-local", "private", "multicast", "reserved", "translated", "own",
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
	if v := g.check(a.Addr()); v != Allowed {
		return v
	}
	_, port := g.own[a]
	_, every := g.own[netip.AddrPortFrom(a.Addr(), 0)]
	if (port || every) && (g.config.Except == nil || !g.config.Except(a)) {
		return Own
	}
	return Allowed
}

// CheckAddr is Check for an address of which the port is not known, as in a TURN
// permission: it does not find own addresses, unless all their ports are.
func (g *Guard) CheckAddr(a netip.Addr) Verdict {
	if !a.IsValid() || a.Zone() != "" {
		return Invalid
	}
	a = a.Unmap()
	if v := g.check(a); v != Allowed {
		return v
	}
	if _, own := g.own[netip.AddrPortFrom(a, 0)]; own && g.config.Except == nil {
		return Own
	}
	return Allowed
}

func (g *Guard) check(a netip.Addr) Verdict {
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	switch {
	case a.IsUnspecified(), thisNetwork.Contains(a):
		return Unspecified
	case a.IsLoopback():
		if g.config.AllowLoopback {
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
