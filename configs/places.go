package configs

import (
	"net/netip"
	"slices"
)

// A Use is what a node opens a port for.
type Use uint8

const (
	UseMain       Use = iota // clients connect there
	UseAlternate             // the main port of a further address: they may connect there, too
	UseExtra                 // and there, through a firewall that lets little else out
	UseProbe                 // no IHello is answered there
	UseSTUN                  // RFC 5780
	UseTURN                  // clients of TURN, over UDP
	UseRelay                 // splices
	UseAllocation            // TURN's relay addresses, bound one by one as they are asked for
	UseTURNStream            // clients of TURN, over TCP
	UseTURNTLS               // and over TLS
	UseAdmin
	NumUses
)

var useNames = [NumUses]string{
	"main", "alternate", "extra", "probe", "stun", "turn", "relay", "allocation", "turn-tcp", "turn-tls", "admin",
}

func (u Use) String() string { return useNames[u] }

var useKeys = [NumUses]string{
	"listen", "alternate", "relay.extra", "probe.ports", "stun.ports", "turn.listen", "relay.ports", "turn.ports",
	"turn.listen", "turn.tls.listen", "admin.listen",
}

// Key names the key that says which ports.
func (u Use) Key() string { return useKeys[u] }

// TCP tells whether they are of TCP; else they are of UDP.
func (u Use) TCP() bool { return u >= UseTURNStream }

// A Place is a run of ports that a configuration has a node open at one address, or at
// every address of a family.
type Place struct {
	Use   Use
	Named bool // somebody wrote the key: the node does not start without
	// Addr may be unspecified: then it is every address of the family that the machine
	// has.
	Addr        netip.Addr
	First, Last uint16 // 0: one of the system's choice
}

// Ports are the place's, none if the system is to choose.
func (p *Place) Ports() PortRange { return PortRange{p.First, p.Last} }

// Overlap gives the ports of another place that are this one's, too.
func (p *Place) Overlap(other *Place) (PortRange, bool) {
	first, last := max(p.First, other.First), min(p.Last, other.Last)
	same := p.Addr == other.Addr || p.Addr.Is4() == other.Addr.Is4() && (p.Addr.IsUnspecified() || other.Addr.IsUnspecified())
	return PortRange{first, last}, same && p.Use.TCP() == other.Use.TCP() && first != 0 && first <= last
}

// shares tells whether two uses may have a port in common: STUN and TURN tell
// their messages apart, and clients connect at an alternate as at the main port.
func (u Use) shares(other Use) bool {
	a, b := min(u, other), max(u, other)
	return a == b || a == UseSTUN && b == UseTURN || a == UseMain && b == UseAlternate
}

// Places are where the configuration wants ports, those that others have to give way
// to first: where clients connect, then what somebody wrote, then the defaults; each
// in the order of uses. What a place shares with one before it, it does not get.
func (c *Config) Places() []Place {
	own := c.OwnAddrs()
	var list []Place
	at := func(u Use, addr netip.Addr, first, last uint16) {
		_, named := c.Origin(u.Key())
		list = append(list, Place{u, named && !c.broken[u.Key()], addr, first, last})
	}
	everywhere := func(u Use, r PortRange) {
		for _, a := range own {
			if r.Len() > 0 {
				at(u, a, r.First, r.Last)
			}
		}
	}
	listen := func(u Use, listen []Listen) {
		for _, l := range listen {
			for _, ap := range l.AddrPorts() {
				if !ap.Addr().IsUnspecified() {
					at(u, ap.Addr(), ap.Port(), ap.Port())
					continue
				}
				for _, a := range own {
					if a.Is4() == ap.Addr().Is4() {
						at(u, a, ap.Port(), ap.Port())
					}
				}
			}
		}
	}
	for _, l := range c.Listen {
		for _, ap := range l.AddrPorts() {
			at(UseMain, ap.Addr(), ap.Port(), ap.Port())
		}
	}
	for _, a := range c.Alternate {
		port := c.Listen[0].Port()
		list = append(list, Place{UseAlternate, true, a, port, port})
	}
	fixed := len(list)
	for _, p := range c.Relay.Extra {
		everywhere(UseExtra, PortRange{uint16(p), uint16(p)})
	}
	everywhere(UseProbe, c.Probe.Ports)
	for _, p := range c.STUN.Ports {
		everywhere(UseSTUN, PortRange{uint16(p), uint16(p)})
	}
	listen(UseTURN, c.TURN.Listen)
	everywhere(UseRelay, c.Relay.Ports)
	everywhere(UseAllocation, c.TURN.Ports)
	listen(UseTURNStream, c.TURN.Listen)
	if c.TURN.TLS.Cert != "" {
		listen(UseTURNTLS, c.TURN.TLS.Listen)
	}
	if l := c.Admin.Listen; l.IsValid() {
		at(UseAdmin, l.Addr(), l.Port(), l.Port())
	}
	slices.SortStableFunc(list[fixed:], func(a, b Place) int {
		switch {
		case a.Named == b.Named:
			return 0
		case a.Named:
			return -1
		}
		return 1
	})
	return list
}

// OwnAddrs are the addresses at which a node is: those of listen, and alternates. One
// that is unspecified stands for all that the machine has.
func (c *Config) OwnAddrs() []netip.Addr {
	var list []netip.Addr
	add := func(a netip.Addr) {
		every := func(b netip.Addr) bool { return b.IsUnspecified() && b.Is4() == a.Is4() }
		if slices.ContainsFunc(list, every) {
			return
		}
		if a.IsUnspecified() {
			list = slices.DeleteFunc(list, func(b netip.Addr) bool { return b.Is4() == a.Is4() })
		}
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	for _, l := range c.Listen {
		for _, ap := range l.AddrPorts() {
			add(ap.Addr())
		}
	}
	for _, a := range c.Alternate {
		add(a)
	}
	return list
}

// Serves tells whether the node is at an address, if the machine has it.
func (c *Config) Serves(a netip.Addr) bool {
	return slices.ContainsFunc(c.OwnAddrs(), func(own netip.Addr) bool { return own == a || own.IsUnspecified() && own.Is4() == a.Is4() })
}

// A GiveWay is ports of a default that are another key's.
type GiveWay struct {
	Use   Use // which does without
	To    Use
	Ports PortRange
}

// overlaps holds the places against each other. Where both keys were written, or clients
// connect, it is a mistake; else the default gives way. Each pair of keys is told once.
func (c *Config) overlaps() (ways []GiveWay, mistakes []GiveWay) {
	places := c.Places()
	for i := range places {
		for j := range places[:i] {
			weak, strong := &places[i], &places[j]
			ports, both := weak.Overlap(strong)
			if !both || weak.Use.shares(strong.Use) {
				continue
			}
			g, list := GiveWay{weak.Use, strong.Use, ports}, &ways
			if weak.Named && (strong.Named || strong.Use <= UseAlternate) {
				list = &mistakes
			}
			if !slices.Contains(*list, g) {
				*list = append(*list, g)
			}
		}
	}
	return ways, mistakes
}

// AllocationPorts are the ports of TURN's relay addresses, without those that another
// key has: the longest run that is left. A zero range: none is.
func (c *Config) AllocationPorts() PortRange {
	left := []PortRange{c.TURN.Ports}
	ways, _ := c.overlaps()
	for _, g := range ways {
		if g.Use != UseAllocation {
			continue
		}
		var rest []PortRange
		for _, r := range left {
			if g.Ports.Last < r.First || g.Ports.First > r.Last {
				rest = append(rest, r)
				continue
			}
			if r.First < g.Ports.First {
				rest = append(rest, PortRange{r.First, g.Ports.First - 1})
			}
			if g.Ports.Last < r.Last {
				rest = append(rest, PortRange{g.Ports.Last + 1, r.Last})
			}
		}
		left = rest
	}
	var best PortRange
	for _, r := range left {
		if r.Len() > best.Len() {
			best = r
		}
	}
	return best
}

// A Socket is one that a place asks for.
type Socket struct {
	Use   Use
	Key   string // that asks for it
	Named bool
	Every bool           // one of every address: the others will do if it cannot be had
	TURN  bool           // clients of TURN come there, be it STUN's or TURN's
	At    netip.AddrPort // port 0: one of the system's choice
}

// Sockets are those that the places ask for on a machine with these addresses, each
// port once: the first place that asks has it. TURN's are STUN's where both ask. taken
// are those that somebody before has.
func Sockets(places []Place, machine []netip.Addr) (sockets, taken []Socket) {
	type port struct {
		at  netip.AddrPort
		tcp bool
	}
	have := make(map[port]int) // index in sockets
	var ranges []Place         // of allocations before
	shared := func(s *Socket, o Socket) bool {
		if !s.Use.shares(o.Use) {
			return false
		}
		if o.Named && !s.Named {
			s.Key = o.Key
		}
		s.Use, s.Named, s.Every, s.TURN = min(s.Use, o.Use), s.Named || o.Named, s.Every && o.Every, s.TURN || o.TURN
		return true
	}
	add := func(p *Place, a netip.AddrPort) {
		one := Place{Use: p.Use, Addr: a.Addr(), First: a.Port(), Last: a.Port()}
		k, s := port{a, p.Use.TCP()}, Socket{p.Use, p.Use.Key(), p.Named, p.Addr.IsUnspecified(), p.Use == UseTURN, a}
		i, ok := have[k]
		switch {
		case a.Port() != 0 && slices.ContainsFunc(ranges, func(r Place) bool { _, both := r.Overlap(&one); return both }):
			taken = append(taken, s)
		case a.Port() == 0 || !ok:
			have[k] = len(sockets)
			sockets = append(sockets, s)
		case !shared(&sockets[i], s):
			taken = append(taken, s)
		}
	}
	for i := range places {
		p := &places[i]
		if p.Use == UseAllocation {
			ranges = append(ranges, *p)
			continue
		}
		for n := int(p.First); n <= int(p.Last); n++ {
			if !p.Addr.IsUnspecified() {
				add(p, netip.AddrPortFrom(p.Addr, uint16(n)))
				continue
			}
			for _, a := range machine {
				if a.Is4() == p.Addr.Is4() {
					add(p, netip.AddrPortFrom(a, uint16(n)))
				}
			}
		}
	}
	return sockets, taken
}
