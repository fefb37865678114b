package demo

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"pileus/introducer"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/memory"
	"pileus/relay/limit"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
)

// stage is the network with the node and the peers.
type stage struct {
	net    *memory.Network
	node   *introducer.Node
	relay  *relay
	at     netip.AddrPort
	people []*person

	classified map[flash.PeerID]introducer.Event
	introduced map[flash.PeerID]introducer.Event // the last, by initiator
}

// Ports of the node, and of the peers.
const (
	firstProbe, lastProbe = 1936, 1943
	extraPort             = 443

	// firstPeer is the first peer's port inside. All have different ones: of two
	// neighbours with the same, a home router can keep the port of one.
	firstPeer = 50001
)

// newStage builds the network, with a limit of each relayed pair, and has everybody
// connect at once.
func newStage(net *memory.Network, rate limit.Rate) (*stage, error) {
	s := &stage{
		net: net, relay: newRelay(rate), at: netip.AddrPortFrom(lab.FirstNodeAddress, lab.NodePort),
		classified: make(map[flash.PeerID]introducer.Event), introduced: make(map[flash.PeerID]introducer.Event),
	}
	if err := s.addNode(); err != nil {
		return nil, fmt.Errorf("the node: %w", err)
	}
	sites := make(map[int]*memory.Site)
	for i, r := range cast {
		if sites[r.site] == nil {
			sites[r.site] = net.Site(r.behind(), r.site, uint64(r.site))
		}
		p, err := newPerson(net, sites[r.site], r, firstPeer+uint16(i), s.at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cast[i].name, err)
		}
		s.people = append(s.people, p)
	}
	return s, nil
}

// addNode makes a node with two addresses, which is what it takes to tell all
// kinds of NATs apart.
func (s *stage) addNode() error {
	id, err := flash.NewIdentity(flash.IdentityOptions{AcceptAncillary: true})
	if err != nil {
		return err
	}
	c := introducer.Config{
		Alternates: []netip.Addr{lab.SecondNodeAddress}, NameArg: 1, Relay: s.relay, Observe: s.observe, Log: slog.New(slog.DiscardHandler),
		Routes: []netip.AddrPort{netip.AddrPortFrom(lab.SecondNodeAddress, lab.NodePort)},
	}
	for _, ip := range []netip.Addr{lab.FirstNodeAddress, lab.SecondNodeAddress} {
		for port := uint16(firstProbe); port <= lastProbe; port++ {
			c.Probes = append(c.Probes, netip.AddrPortFrom(ip, port))
		}
		c.Routes = append(c.Routes, netip.AddrPortFrom(ip, extraPort))
	}
	s.node = introducer.New(c)
	engine, err := rtmfp.NewEngine(rtmfp.Config{
		Identity: id, Handler: s.node, Policy: flash.Policy{HMAC: flash.Offer, SSEQ: flash.Offer}, KeyPool: -1,
		Beside: s.relay.receive,
	}, s.net.Now())
	if err != nil {
		return err
	}
	s.relay.node, s.relay.engine = s.node, engine
	s.net.Attach(s.net.Backbone(), engine, s.at)
	for _, a := range slices.Concat(c.Probes, c.Routes, s.relay.ports) {
		s.net.Attach(s.net.Backbone(), engine, a)
	}
	return nil
}

// observe keeps what the node tells operators.
func (s *stage) observe(e introducer.Event) {
	if e.Kind == introducer.PeerClassified {
		s.classified[e.Peer.ID] = e
	}
	if e.Kind == introducer.PeersIntroduced || e.Kind == introducer.PlanRevised {
		s.introduced[e.Peer.ID] = e
	}
}
