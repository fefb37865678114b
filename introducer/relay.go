package introducer

import (
	"net/netip"
	"slices"
	"time"

	"pileus/introducer/strategy"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// Relay carries what two peers send each other that cannot meet. Its methods are
// called on the engine's goroutine and do not block; cmd makes one of the relay
// room. Addresses of the node are the ones it is bound to.
type Relay interface {
	// Splice has an introduction relayed, and names at once where. Asked again for
	// the same two peers, it names the same while that lasts. An error says, to
	// operators and peers, why nothing is relayed.
	Splice(SpliceRequest) (SpliceGrant, error)
	// Moved tells that a peer's session has proven a new address.
	Moved(id flash.PeerID, addr netip.AddrPort)
	// Gone tells that a peer's session ended.
	Gone(id flash.PeerID)
}

// SpliceRequest is an introduction to be relayed.
type SpliceRequest struct {
	Tag, EPD          []byte // of the initiator's IHello
	Initiator, Target SpliceParty
	Hold              time.Duration // of the first RHello
	Rebind            bool          // sides may change their addresses
	Beside            bool          // their own addresses are named too: most will not come
}

// SpliceParty is one of the two.
type SpliceParty struct {
	ID     flash.PeerID // zero: an anonymous initiator
	Tenant string
	Addr   netip.AddrPort   // as observed
	Local  netip.AddrPort   // the node's address that it speaks to
	At     []netip.AddrPort // own addresses at one of which it has to be relayed, best first; none: any relay port
}

// SpliceGrant is where the two reach each other: the initiator the target, and
// the target the initiator.
type SpliceGrant struct{ Initiator, Target netip.AddrPort }

// SpliceBegin says that two peers have begun to use a splice: they are told of by
// [Node.SpliceBegan], and its end by [Node.SpliceEnded].
type SpliceBegin struct {
	ID                uint64
	Initiator, Target flash.PeerID      // zero: an anonymous initiator
	Addrs             [2]netip.AddrPort // as the request had them
}

// SpliceEnd is the account of a splice that is over.
type SpliceEnd struct {
	ID             uint64
	Reason         string
	Duration       time.Duration
	Bytes, Packets [2]uint64 // from the initiator, and from the target
	Drops, Marks   uint64    // over a limit
	// Standing: it was asked for again in the same instant, and goes on under its ID.
	Standing bool
}

// relaying is a splice that was granted.
type relaying struct {
	initiator, target PeerInfo
}

// join makes the plan what the two are told: with the relay that it wants, or as it is
// without one.
func (in *introduction) join(p strategy.Pair) {
	n := in.node
	in.plan, in.refusal, in.relays = in.made, nil, [2]netip.AddrPort{}
	if in.plan.Relay.Use == strategy.RelayNone {
		return
	}
	g, err := n.cfg.Relay.Splice(in.spliceRequest())
	if err != nil {
		n.stats.RelayRefused++
		p.RelayAvailable, p.NoRelay = false, "it was refused: "+err.Error()
		in.plan, in.refusal = strategy.Decide(p), err
		return
	}
	in.relays = [2]netip.AddrPort{n.namesFor(in.asker).Outside(g.Initiator), n.namesFor(in.target).Outside(g.Target)}
	// Where it asked it listens already; a Redirect to there would tell it nothing.
	if g.Initiator != in.local {
		in.plan.Redirects = append(slices.Clip(in.plan.Redirects), relayAddress(in.relays[0]))
	}
	in.plan.Replies = append(slices.Clip(in.plan.Replies), relayAddress(in.relays[1]))
}

// relayAddress names a relay. Some clients read OriginRelay as "another
// introducer".
func relayAddress(a netip.AddrPort) wire.Address {
	return wire.Address{AddrPort: a, Origin: wire.OriginObserved}
}

func (in *introduction) spliceRequest() SpliceRequest {
	n, r := in.node, in.plan.Relay
	q := SpliceRequest{
		Tag: in.tag, EPD: in.epd, Hold: r.Hold, Rebind: r.Rebind, Beside: r.Use == strategy.RelayBeside,
		Initiator: SpliceParty{Addr: in.from, Local: in.local, At: n.bound(r.Initiator), Tenant: in.target.tenant},
		Target: SpliceParty{
			ID: in.target.ID(), Addr: in.target.Addr(), Local: in.target.session.Local(), At: n.bound(r.Target), Tenant: in.target.tenant,
		},
	}
	if in.asker != nil {
		q.Initiator.ID = in.asker.ID()
	}
	return q
}

func (n *Node) bound(outside []netip.AddrPort) []netip.AddrPort {
	list := make([]netip.AddrPort, len(outside))
	for i, a := range outside {
		list[i] = n.cfg.Names.Bind(a)
	}
	return list
}

// second is a further address of the node, of the same port as that of p's session.
func (n *Node) second(p *Peer) netip.AddrPort {
	at := n.namesFor(p).Outside(p.session.Local())
	for _, a := range n.vantage(p, n.cfg.Routes) {
		if a.Addr() != at.Addr() && a.Port() == at.Port() {
			return a
		}
	}
	return netip.AddrPort{}
}

// SpliceBegan tells that a splice is used. It is called on the engine's goroutine.
func (n *Node) SpliceBegan(b SpliceBegin) {
	if _, standing := n.relayings[b.ID]; standing {
		return
	}
	var sides [2]PeerInfo
	for i, id := range []flash.PeerID{b.Initiator, b.Target} {
		sides[i] = PeerInfo{ID: id, Addr: b.Addrs[i]}
		p := n.peers[id]
		switch {
		case p != nil:
			sides[i] = p.Info()
			if at := p.Addr(); at != b.Addrs[i] {
				n.cfg.Relay.Moved(id, at)
			}
		case id != (flash.PeerID{}):
			n.cfg.Relay.Gone(id)
		}
	}
	if sides[0].Tenant == "" {
		sides[0].Tenant = sides[1].Tenant
	}
	n.relayings[b.ID] = relaying{sides[0], sides[1]}
	for i := range sides {
		n.relayedOnce(sides[i].ID, 1)
	}
}

// relayedOnce counts the splices of a peer, and says whether there are any.
func (n *Node) relayedOnce(id flash.PeerID, by int) {
	if n.relayed[id] += by; n.relayed[id] == 0 {
		delete(n.relayed, id)
	}
	n.SetRelayed(id, n.relayed[id] > 0)
}

// SpliceEnded tells that a splice is over. It is called on the engine's
// goroutine.
func (n *Node) SpliceEnded(now time.Time, e SpliceEnd) {
	r, ok := n.relayings[e.ID]
	if !ok {
		return
	}
	if !e.Standing {
		delete(n.relayings, e.ID)
		for _, p := range []PeerInfo{r.initiator, r.target} {
			n.relayedOnce(p.ID, -1)
		}
	}
	if slices.Equal(e.Packets[:], []uint64{0, 0}) {
		return // they met without it, or not at all
	}
	initiator := "anonymous"
	if r.initiator.ID != (flash.PeerID{}) {
		initiator = r.initiator.ID.String()
	}
	n.log.event(now, eventSplice,
		"initiator", initiator, "target", r.target.ID.String(), "reason", e.Reason, "seconds", int(e.Duration.Seconds()),
		"bytes_from_initiator", e.Bytes[0], "bytes_from_target", e.Bytes[1],
		"packets_from_initiator", e.Packets[0], "packets_from_target", e.Packets[1], "drops", e.Drops, "marks", e.Marks)
	n.emit(Event{Kind: PairRelayed, At: now, Peer: r.initiator, Target: r.target, Bytes: e.Bytes, Reason: e.Reason})
	n.NoteRelayed(now, r.initiator.ID, r.target.ID, e.Bytes, e.Reason)
}

// RelayedTenants is whose the splices are, by their IDs.
func (n *Node) RelayedTenants() map[uint64]string {
	m := make(map[uint64]string, len(n.relayings))
	for id, r := range n.relayings {
		m[id] = r.target.Tenant
	}
	return m
}
