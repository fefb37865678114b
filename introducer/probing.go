package introducer

import (
	"crypto/rand"
	"net/netip"
	"time"

	"pileus/natprobe"
	"pileus/rtmfp"
	"pileus/rtmfp/wire"
)

const (
	defaultProbeRate = 2000                 // packets a second, for the whole node
	probeBurst       = 64                   // of them at once
	lineInterval     = 5 * time.Millisecond // between looks at the line of those who wait for the rate
)

// A probing is one round of native probes of a peer: STUN-style discovery for
// clients that speak no STUN. No session is opened and the client does not
// notice.
type probing struct {
	node      *Node
	peer      *Peer
	planner   *natprobe.Planner
	epd       []byte
	tags      map[int][]byte // by the planner's packet ID
	timer     *rtmfp.Timer
	waiting   bool // in the node's line
	main      netip.AddrPort
	challenge []byte // the tag of IHellos to an address that shall be proven
	newest    int    // ID of the probe that made the newest mapping seen
}

// probe starts a round, in place of the one under way.
func (n *Node) probe(p *Peer) {
	p.stopProbing()
	if len(n.cfg.Probes) == 0 || !p.session.Open() {
		return
	}
	e := p.session.Engine()
	p.probing = &probing{node: n, peer: p}
	if !n.line.empty() {
		n.queueUp(e, p.probing)
		return
	}
	p.probing.step()
}

// begin plans the round, when its turn has come: its clock starts with the plan.
func (r *probing) begin(e *rtmfp.Engine) {
	n, p := r.node, r.peer
	r.epd = p.session.Far().EPD().Append(nil)
	r.tags = make(map[int][]byte)
	r.main = n.cfg.Names.Outside(p.session.Local())
	r.planner = natprobe.NewPlanner(natprobe.PlannerConfig{
		Main:     r.main,
		Observed: p.Addr(),
		Family:   n.familyFor(p),
		Probes:   n.vantage(p.session.Local(), n.cfg.Probes),
		Routes:   n.vantage(p.session.Local(), n.cfg.Routes),
		RTT:      p.session.RTT(),
		Recent:   n.evidence.recall(e.Now(), p.Addr()),
	}, e.Now())
}

func (p *Peer) stopProbing() {
	r := p.probing
	if r == nil {
		return
	}
	p.probing = nil
	if r.timer != nil {
		r.timer.Stop()
	}
	for _, tag := range r.tags {
		p.session.Engine().Forget(tag)
	}
	p.session.Engine().Forget(r.challenge)
}

// step sends what is due. The node's rate delays packets and never skips one: a
// packet not sent would look like a packet filtered.
func (r *probing) step() {
	e := r.peer.session.Engine()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if !r.node.line.allows(e.Now()) {
		r.node.queueUp(e, r)
		return
	}
	if r.planner == nil {
		r.begin(e)
	}
	for _, q := range r.planner.Next(e.Now()) {
		r.send(e, q)
		if r.peer.probing != r {
			return
		}
		r.node.line.sent(e.Now(), r.node.cfg.ProbeRate)
	}
	due := r.planner.Deadline()
	if due.IsZero() {
		r.finish(e)
		return
	}
	r.timer = e.After(max(due.Sub(e.Now()), 0), r.step)
}

func (r *probing) send(e *rtmfp.Engine, q natprobe.Packet) {
	tag := r.tags[q.ID]
	if tag == nil {
		tag = make([]byte, 16)
		_, _ = rand.Read(tag) // never fails
		id := q.ID
		err := e.Await(tag, func(local, from netip.AddrPort) {
			if q.Node.Addr().Is4() != r.main.Addr().Is4() {
				r.prove(id, local, from)
				return
			}
			r.planner.Answered(id, from, e.Now())
			// Later probes have higher IDs, and those that name another address
			// than the main one make a new mapping.
			if q.Kind == natprobe.FIHello && q.Node != r.main && id >= r.newest {
				r.newest, r.peer.latest = id, from
			}
			r.wake(e)
		})
		if err != nil {
			// Too many at once. A probe that is not sent would look like one that
			// was filtered: better to know nothing.
			r.peer.stopProbing()
			return
		}
		r.tags[q.ID] = tag
	}
	r.node.stats.Probes++
	if q.Kind == natprobe.IHello {
		e.SendHello(r.node.cfg.Names.Bind(q.Node), r.peer.Addr(), r.epd, tag)
		return
	}
	r.peer.session.ForwardHello(r.epd, wire.Address{AddrPort: q.Node, Origin: wire.OriginObserved}, tag)
}

// wake lets an answer have its effect as soon as this call is over.
func (r *probing) wake(e *rtmfp.Engine) {
	if r.waiting {
		return
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	r.timer = e.After(0, r.step)
}

func (r *probing) finish(e *rtmfp.Engine) {
	n, p := r.node, r.peer
	p.stopProbing()
	now := e.Now()
	obs := r.planner.Observations()
	n.evidence.keep(now, p.Addr(), obs)
	record := append(r.context(now), obs...)
	b := natprobe.Classify(record, now)
	p.behavior, p.steady = &b, steady(obs)
	n.keepAlive(p)
	n.stats.Classified++
	n.log.event(now, eventClassified,
		"peer", p.ID().String(), "address", p.Addr(), "class", b.Class().String(), "mapping", b.Mapping.String(),
		"filtering", b.Filtering.String(), "allocation", b.Allocation.String(), "packets", r.planner.Packets())
	n.emit(Event{Kind: PeerClassified, At: now, Peer: p.Info(), Behavior: &b})
	if p.app == connectivityApp {
		p.reportConnectivity(record, now)
	}
}

// steadyAnswers is how many probes were answered, at the least, by a peer that is
// believed to lose nothing: all that there are to a node with one address.
const steadyAnswers = 5

// steady reports whether what was answered at all was answered at once. One way in
// three that loses one packet of ten in each direction seems so, by chance, until
// somebody has to ask again.
func steady(obs []natprobe.Observation) bool {
	answered := 0
	for _, o := range obs {
		if o.Hits > 0 && o.Tries > o.Hits {
			return false
		}
		answered += o.Hits
	}
	return answered >= steadyAnswers
}

// context is what is known of a peer without probes.
func (r *probing) context(now time.Time) []natprobe.Observation {
	p := r.peer
	obs := []natprobe.Observation{{
		Kind: natprobe.KindObserved, At: now, Node: r.main, Tries: 1, Hits: 1, Seen: p.Addr(),
	}}
	for _, a := range p.reported {
		obs = append(obs, natprobe.Observation{Kind: natprobe.KindReported, At: now, Tries: 1, Hits: 1, Seen: a})
	}
	return obs
}
