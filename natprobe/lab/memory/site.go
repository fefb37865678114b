package memory

import (
	"net/netip"

	"pileus/natprobe/lab"
	"pileus/rtmfp"
)

// Site is a place of a kind of package lab, with its NATs, for as many hosts as
// one likes.
type Site struct {
	net    *Network
	kind   lab.Kind
	number byte
	seed   uint64
	shared *Link // the innermost that all hosts have in common
	hosts  byte
}

// MaxSites is how many sites a network has room for, by their addresses.
const MaxSites = 240

// Site builds a site. Its number, below MaxSites, makes its addresses: those of
// inside hosts are in 10.NUMBER.0.0/16, a carrier's link is 100.64.NUMBER.0/24, and
// the public address is 198.51.100.NUMBER+10, or 203.0.113.NUMBER+10 of a host
// without translation. The seed is of the NATs' chance.
func (n *Network) Site(k lab.Kind, number int, seed uint64) *Site {
	if number < 0 || number >= MaxSites {
		panic("memory: no addresses for such a site")
	}
	s := &Site{net: n, kind: k, number: byte(number), seed: seed, shared: n.backbone}
	own := 0
	if k.Homes {
		own = 1 // the first of the chain is each host's
	}
	for i := len(k.Chain) - 1; i >= own; i-- {
		s.shared = s.shared.Behind(s.behavior(i, 1))
	}
	return s
}

// behavior is the i-th NAT of the chain with its addresses, the member-th of its
// kind on the link outside.
func (s *Site) behavior(i int, member byte) lab.Behavior {
	b := s.kind.Chain[i]
	b.Seed = s.seed + uint64(member) - 1
	if b.Mapping == lab.NoTranslation {
		return b
	}
	public := netip.AddrFrom4([4]byte{198, 51, 100, s.number + 10})
	if i < len(s.kind.Chain)-1 {
		public = netip.AddrFrom4([4]byte{100, 64, s.number, member + 1})
	}
	b.Public = []netip.Addr{public}
	return b
}

// Attach gives an engine a place at the site and returns its address there.
func (s *Site) Attach(e *rtmfp.Engine, port uint16) netip.AddrPort {
	s.hosts++
	l, at := s.shared, netip.AddrFrom4([4]byte{10, s.number, 0, 1 + s.hosts})
	switch {
	case s.kind.Homes:
		l = s.shared.Behind(s.behavior(0, s.hosts))
		at = netip.AddrFrom4([4]byte{10, s.number, s.hosts, 2})
	case s.kind.Segments:
		if s.hosts > 1 {
			l = s.shared.Beside()
		}
		at = netip.AddrFrom4([4]byte{10, s.number, s.hosts, 2})
	case len(s.kind.Chain) == 0 || s.kind.Chain[0].Mapping == lab.NoTranslation:
		at = netip.AddrFrom4([4]byte{203, 0, 113, s.number + 10})
	}
	sock := netip.AddrPortFrom(at, port)
	s.net.Attach(l, e, sock)
	if s.kind.HostFirewalls {
		s.net.Guard(e, lab.Behavior{Filtering: lab.AddressAndPortDependentFiltering})
	}
	return sock
}
