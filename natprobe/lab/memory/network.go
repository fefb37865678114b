package memory

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"

	"pileus/natprobe/lab"
	"pileus/rtmfp"
)

// Path is how packets fare on the backbone. Links inside a site have no delay and
// lose nothing.
type Path struct {
	Delay time.Duration // one way
	Lose  func() bool   // asked for each packet; nil: never
	// Drop is asked for each packet, as it is on the backbone; nil: never.
	Drop func(p lab.Packet) bool
}

// Network is all links and hosts, and their time.
type Network struct {
	now      time.Time
	path     Path
	watch    func(from, to netip.AddrPort, data []byte)
	backbone *Link
	hosts    []*host // in the order in which they were attached
	byEngine map[*rtmfp.Engine]*host
	flight   []packet // in the order of arrival
}

// packet is one on its way to a station.
type packet struct {
	lab.Packet
	at time.Time
	to station
	payload
}

// payload is what links, NATs and firewalls do not look at.
type payload struct {
	data []byte
	tos  uint8
}

// New makes a network without hosts, whose time begins at now.
func New(now time.Time) *Network {
	return &Network{now: now, backbone: newLink(nil), byEngine: make(map[*rtmfp.Engine]*host)}
}

// Now is the network's time: what engines attached to it are to be made with.
func (n *Network) Now() time.Time { return n.now }

// SetPath changes how packets sent from now on fare.
func (n *Network) SetPath(p Path) { n.path = p }

// Watch has f called with every packet that an engine sends, as it is sent; nil
// ends that.
func (n *Network) Watch(f func(from, to netip.AddrPort, data []byte)) { n.watch = f }

// Backbone is the link of those with public addresses.
func (n *Network) Backbone() *Link { return n.backbone }

// host is a machine with one engine.
type host struct {
	engine   *rtmfp.Engine
	links    map[netip.AddrPort]*Link // where each of its sockets is
	first    netip.AddrPort           // the socket of packets that name none
	first6   netip.AddrPort           // the same for IPv6
	firewall *lab.NAT
	waiting  []rtmfp.Datagram // arrived, not read yet
	turn     func([]rtmfp.Datagram) []rtmfp.Datagram
	stopped  bool
}

// Attach gives e a socket at an address on a link. An engine may have any number
// of them, on any links.
func (n *Network) Attach(l *Link, e *rtmfp.Engine, at netip.AddrPort) {
	h := n.byEngine[e]
	if h == nil {
		h = &host{engine: e, links: make(map[netip.AddrPort]*Link)}
		n.byEngine[e] = h
		n.hosts = append(n.hosts, h)
	}
	first := &h.first
	if at.Addr().Is6() {
		first = &h.first6
	}
	if !first.IsValid() {
		*first = at
	}
	h.links[at] = l
	l.add(at, h)
}

// Guard puts a firewall on the host of e itself.
func (n *Network) Guard(e *rtmfp.Engine, firewall lab.Behavior) {
	n.byEngine[e].firewall = lab.NewNAT(firewall)
}

// Turn has f called with all that e is about to read in one turn, that is, without
// time passing between: e gets what f returns.
func (n *Network) Turn(e *rtmfp.Engine, f func([]rtmfp.Datagram) []rtmfp.Datagram) {
	n.byEngine[e].turn = f
}

// Stop has the host of e do nothing, as a program that is not scheduled: what arrives
// waits. Continue ends that: it reads all at once, then looks at the clock.
func (n *Network) Stop(e *rtmfp.Engine) { n.byEngine[e].stopped = true }

// Continue ends Stop.
func (n *Network) Continue(e *rtmfp.Engine) { n.byEngine[e].stopped = false }

// Cut takes the host of e off the network without a word, like a power failure.
func (n *Network) Cut(e *rtmfp.Engine) {
	h := n.byEngine[e]
	if h == nil {
		return
	}
	delete(n.byEngine, e)
	n.hosts = slices.DeleteFunc(n.hosts, func(o *host) bool { return o == h })
	for at, l := range h.links {
		l.remove(at)
	}
	clear(h.links)
}

// Wait lets time pass, stopping at every deadline of an engine and at every
// arrival of a packet.
func (n *Network) Wait(d time.Duration) { n.WaitUntil(d, nil) }

// WaitUntil is Wait until done says so, if that is before d is over, and reports
// whether it was.
func (n *Network) WaitUntil(d time.Duration, done func() bool) bool {
	end := n.now.Add(d)
	for {
		n.settle()
		if done != nil && done() {
			return true
		}
		if !n.now.Before(end) {
			return false
		}
		next := end
		for _, h := range n.hosts {
			if at := h.engine.Deadline(); !h.stopped && !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		if len(n.flight) > 0 && n.flight[0].at.Before(next) {
			next = n.flight[0].at
		}
		if next.After(n.now) {
			n.now = next
		}
		n.land()
		for _, h := range n.hosts {
			if !h.stopped {
				h.engine.Advance(n.now)
			}
		}
	}
}

// settle moves packets and jobs until nothing is left to do at this time.
func (n *Network) settle() {
	for busy := true; busy; {
		busy = n.land()
		for _, h := range slices.Clone(n.hosts) {
			if h.stopped {
				continue
			}
			var out []rtmfp.Datagram
			h.engine.Flush(func(list []rtmfp.Datagram) {
				for _, d := range list {
					d.Data = bytes.Clone(d.Data)
					out = append(out, d)
				}
			})
			for _, d := range out {
				busy = true
				n.send(h, d)
			}
			for _, j := range h.engine.TakeJobs() {
				busy = true
				j.Run()
				h.engine.Finish(n.now, j)
			}
		}
	}
}

// send takes a packet from its host to the first link.
func (n *Network) send(h *host, d rtmfp.Datagram) {
	from := d.Local
	if !from.IsValid() {
		from = h.first
		if d.Peer.Addr().Is6() {
			from = h.first6
		}
	}
	l := h.links[from]
	if l == nil {
		return // no such socket, or none of that family
	}
	if n.watch != nil {
		n.watch(from, d.Peer, d.Data)
	}
	p := lab.Packet{Src: from, Dst: d.Peer}
	if h.firewall != nil {
		var fate lab.Fate
		if p, fate = h.firewall.Outbound(n.now, p); fate != lab.ToOutside {
			return
		}
	}
	n.forward(l, p, payload{d.Data, d.TOS})
}

// launch puts a packet on its way to a station of a link.
func (n *Network) launch(l *Link, to station, p lab.Packet, load payload) {
	at := n.now
	if l == n.backbone {
		if n.path.Lose != nil && n.path.Lose() || n.path.Drop != nil && n.path.Drop(p) {
			return
		}
		at = at.Add(n.path.Delay)
	}
	i, _ := slices.BinarySearchFunc(n.flight, at, func(f packet, at time.Time) int {
		return cmp.Or(f.at.Compare(at), -1) // behind those of the same time
	})
	n.flight = slices.Insert(n.flight, i, packet{p, at, to, load})
}

// land delivers what has arrived by now, and reports whether anything had.
func (n *Network) land() (landed bool) {
	for len(n.flight) > 0 && !n.flight[0].at.After(n.now) {
		f := n.flight[0]
		n.flight = slices.Delete(n.flight, 0, 1)
		n.arrive(f.to, f.Packet, f.payload)
		landed = true
	}
	for _, h := range n.hosts {
		if len(h.waiting) > 0 && !h.stopped {
			h.read(n.now)
			landed = true
		}
	}
	return landed
}

// read is one turn of a host.
func (h *host) read(now time.Time) {
	batch := h.waiting
	h.waiting = nil
	if h.turn != nil {
		batch = h.turn(batch)
	}
	for _, d := range batch {
		h.engine.Receive(now, d)
	}
}

func (n *Network) arrive(to station, p lab.Packet, load payload) {
	if to.nat != nil {
		p, fate := to.nat.Inbound(n.now, p)
		if fate == lab.ToInside {
			n.inside(to.nat, p, load)
		}
		return
	}
	h := to.host
	if h == nil {
		return
	}
	if h.firewall != nil {
		var fate lab.Fate
		if p, fate = h.firewall.Inbound(n.now, p); fate != lab.ToInside {
			return
		}
	}
	h.waiting = append(h.waiting, rtmfp.Datagram{Local: p.Dst, Peer: p.Src, TOS: load.tos, Data: load.data})
}
