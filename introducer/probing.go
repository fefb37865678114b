package introducer

import (
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

	// afterPeerInfo is how long the answers to introductions may be behind setPeerInfo,
	// which their client sent at the same time.
	afterPeerInfo = 20 * time.Millisecond

	// predictionRest is how long probing rests for an introduction by predicted ports:
	// each of its mappings would take one.
	predictionRest = 600 * time.Millisecond
)

// A probing is one round of native probes of a peer: STUN-style discovery for
// clients that speak no STUN. No session is opened and the client does not
// notice.
type probing struct {
	node      *Node
	peer      *Peer
	planner   *natprobe.Planner // nil until the round's turn has come
	epd       []byte
	tags      map[int][]byte // by the planner's packet ID
	timer     *rtmfp.Timer
	later     *rtmfp.Timer // asks again
	line      lineUp       // it waits in
	quiet     time.Time    // until when it rests
	main      netip.AddrPort
	challenge []byte // the tag of IHellos to an address that shall be proven
	newest    int    // ID of the probe that made the newest mapping seen
}

// probe starts a round, in place of the one under way, as soon as what waits for the
// client has been sent: the answer to its connect comes before what is asked of it.
func (n *Node) probe(p *Peer) {
	p.stopProbing()
	if len(n.cfg.Probes) == 0 || !p.session.Open() {
		return
	}
	e := p.session.Engine()
	p.probing = &probing{node: n, peer: p}
	if l := n.lineOf(p); !l.empty() {
		l.queueUp(e, p.probing)
		return
	}
	p.probing.soon(e)
}

// soon takes a step when what waits for the client has been sent.
func (r *probing) soon(e *rtmfp.Engine) {
	e.Behind(func() {
		if r.peer.probing == r && r.line.in == nil {
			r.step()
		}
	})
}

// welcomed has a client probed that is here now. Whoever was probed before its
// connect was accepted may not have answered introductions until then.
func (n *Node) welcomed(p *Peer) {
	r := p.probing
	if r == nil {
		n.probe(p)
		return
	}
	e := p.session.Engine()
	r.line.stepOut() // of those who are not here
	if r.planner != nil {
		r.planner.Again(e.Now(), e.Now())
	}
	r.soon(e)
}

// reported has a peer probed that has told its addresses: others turn answers to
// introductions on by themselves, some as late as that.
func (n *Node) reported(p *Peer) {
	r := p.probing
	// A client that is in the node's own network knows its addresses by other names.
	if r == nil || r.planner != nil && r.main != n.namesFor(p).Outside(p.session.Local()) {
		n.probe(p)
		return
	}
	if at := n.familyFor(p); r.planner != nil && at.IsValid() {
		r.planner.AskFamily(at, p.session.Engine().Now())
	}
	r.again()
	n.learned(p)
}

// again asks soon what has not been answered by then, and was sent too early for a
// client that sent something now.
func (r *probing) again() {
	e := r.peer.session.Engine()
	since := e.Now().Add(-r.peer.session.RTT())
	stop(r.later)
	r.later = e.After(afterPeerInfo, func() {
		if r.planner == nil {
			return // it has yet to begin
		}
		r.planner.Again(e.Now(), since)
		r.wake(e)
	})
}

// rest keeps what a NAT gives its next ports to as it is for a while.
func (r *probing) rest(now time.Time) { r.quiet = now.Add(predictionRest) }

// begin plans the round, when its turn has come: its clock starts with the plan.
func (r *probing) begin(e *rtmfp.Engine) {
	n, p := r.node, r.peer
	r.epd = p.session.Far().EPD().Append(nil)
	r.tags = make(map[int][]byte)
	r.main = n.namesFor(p).Outside(p.session.Local())
	r.planner = natprobe.NewPlanner(natprobe.PlannerConfig{
		Main:     r.main,
		Observed: p.Addr(),
		Family:   n.familyFor(p),
		Probes:   n.probeVantage(p, n.cfg.Probes),
		Routes:   n.probeVantage(p, n.cfg.Routes),
		RTT:      p.session.RTT(),
		Deaf:     !p.admitted,
		Recent:   n.evidence.recall(e.Now(), p.Addr()),
	}, e.Now())
}

// known is what is known of p at now, and what probes that are under way may soon add.
func (p *Peer) known(now time.Time) (natprobe.Behavior, natprobe.Pending) {
	switch r := p.probing; {
	case p.behavior != nil:
		return *p.behavior, 0
	case r == nil:
		return natprobe.Behavior{}, 0
	case r.planner == nil:
		return natprobe.Behavior{}, natprobe.PendingAll
	default:
		return natprobe.Early(append(r.context(now), r.node.candidates.evidence(r.planner.Early(now))...), now), r.planner.Pending(now)
	}
}

func (p *Peer) stopProbing() {
	r := p.probing
	if r == nil {
		return
	}
	p.probing = nil
	r.line.stepOut()
	stop(r.timer)
	stop(r.later)
	for _, tag := range r.tags {
		r.node.forget(p, tag)
	}
	if r.challenge != nil {
		r.node.forget(p, r.challenge)
	}
}

// step sends what is due. The node's rate delays packets and never skips one: a
// packet not sent would look like a packet filtered.
func (r *probing) step() {
	e, n := r.peer.session.Engine(), r.node
	stop(r.timer)
	if left := r.quiet.Sub(e.Now()); left > 0 {
		r.timer = e.After(left, r.step)
		return
	}
	l := n.lineOf(r.peer)
	if !l.allows(e.Now()) {
		l.queueUp(e, r)
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
		l.sent(e.Now(), n.cfg.ProbeRate)
	}
	due := r.planner.Deadline()
	if due.IsZero() {
		r.finish(e)
	} else {
		r.timer = e.After(max(due.Sub(e.Now()), 0), r.step)
	}
	n.learned(r.peer)
}

func (r *probing) send(e *rtmfp.Engine, q natprobe.Packet) {
	tag := r.tags[q.ID]
	if tag == nil {
		id := q.ID
		tag = r.node.await(r.peer, func(local, from netip.AddrPort) {
			if q.Node.Addr().Is4() != r.main.Addr().Is4() {
				r.prove(id, local, from)
				return
			}
			r.planner.Answered(id, from, e.Now())
			// Later probes have higher IDs, and those that name another address
			// than the main one make a new mapping.
			if q.Kind == natprobe.FIHello && q.Node != r.main && id >= r.newest && r.peer.mapped(from) {
				r.newest = id
			}
			r.wake(e)
		})
		if tag == nil {
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
	if r.line.in != nil {
		return
	}
	stop(r.timer)
	r.timer = e.After(0, r.step)
}

func (r *probing) finish(e *rtmfp.Engine) {
	n, p := r.node, r.peer
	p.stopProbing()
	now := e.Now()
	obs := n.judge(p, r.planner.Observations())
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
