package introducer

import "net/netip"

// Sockets are the node's, as Config has them: they follow the addresses of its
// machine.
type Sockets struct {
	Probes, Routes []netip.AddrPort
	Alternates     []netip.Addr
	Candidates     []netip.Addr
}

// SetSockets tells which there are now. Rounds of probes that have begun go on with
// those they know, so it is told of sockets that are open, and before one is closed.
func (n *Node) SetSockets(s Sockets) {
	n.cfg.Probes, n.cfg.Routes, n.cfg.Alternates = s.Probes, s.Routes, s.Alternates
	n.candidates.set(n.outsideOf(s.Candidates))
}
