package natprobe

import (
	"net/netip"
	"slices"
	"time"
)

// PacketKind says which startup chunk a probe is.
type PacketKind uint8

const (
	// IHello names the client's fingerprint and leaves from the node's address.
	IHello PacketKind = iota
	// FIHello goes inside the client's session and names the node's address as
	// the reply address.
	FIHello
)

// Packet is one probe to send. Every packet of one probe has the same ID, and may
// have the same tag; no other probe may.
type Packet struct {
	Kind PacketKind
	ID   int
	Node netip.AddrPort
}

// PlannerConfig says what a Planner may use. All addresses are those that the
// client knows, that is, outside names. Addresses of another family than Main's
// are left out, but for Family.
type PlannerConfig struct {
	Main     netip.AddrPort   // where the client holds its session
	Observed netip.AddrPort   // its address there
	Probes   []netip.AddrPort // probe sockets, on Main's address and others
	Routes   []netip.AddrPort // where a relay could be reached if nothing but Main can
	Family   netip.AddrPort   // the node's main address of the other family, if one shall be proven
	RTT      time.Duration    // of the session; zero is not known
	// Deaf: the client may not answer introductions yet, so that its silence means
	// nothing before [Planner.Again].
	Deaf   bool
	Recent []Observation // earlier record of the same observed address
}

// Bounds of one round of probes.
const (
	// MaxPackets is how many packets one round sends at most.
	MaxPackets = 64

	tryInterval = 190 * time.Millisecond // from the second try on: with the first, MinTries span MinSpan
	maxInterval = time.Second
	lateness    = 50 * time.Millisecond // an answer may take that much longer than the RTT
	pace        = 10 * time.Millisecond // between new mappings, so that they are made in this order
	minGrace    = 150 * time.Millisecond
	maxGrace    = time.Second
	unknownRTT  = 200 * time.Millisecond

	maxDeafness = time.Minute // longest wait for Again

	closingTries    = 4 // of a control that closes a bracket
	doubtfulTries   = 4 // of the mapping control: from then on silence is suspected
	silenceControls = 3
	mappingTries    = 5
	routeTries      = 3
	familyTries     = 3
	maxRoutes       = 4
	blockedTries    = 2 // of a mapping port of another address, where none answers at the first
	baseMapping     = 2 // mapping ports of each of two addresses
	wantedMapping   = 7 // once the mapping is seen to differ: enough to see the rule in its ports
	coarseMapping   = minCoarse
)

// probe is one question: it is asked until answered or limit is reached.
type probe struct {
	Observation
	limit    int
	full     int       // the limit it began with
	due      time.Time // of the next try or, after the last, of giving up
	last     time.Time // the latest try
	void     int       // tries before Again, which count for nothing
	finished bool
}

func (p *probe) packet(id int) Packet {
	kind := IHello
	if p.introduces() {
		kind = FIHello
	}
	return Packet{Kind: kind, ID: id, Node: p.Node}
}

func (p *probe) silent() bool { return p.finished && p.Hits == 0 }

// introduces reports whether it takes a client that answers introductions.
func (p *probe) introduces() bool { return p.Kind != KindControlFilter && p.Kind != KindFilter }

// Planner decides what to ask a client in one round of native probes (DESIGN:
// filtering by unsolicited hellos, mapping by introductions). It has no clock and
// no socket: its driver sends what Next gives when Deadline is due, a client at a
// time as its rate allows, and reports answers. Delays are harmless; a packet that
// Next gave must be sent before what it gives later.
type Planner struct {
	c       PlannerConfig
	probes  []*probe
	packets int

	patience time.Duration // with a try; longer than the RTT, so that an answer to the first is known as such
	interval time.Duration // between later tries
	grace    time.Duration // after the last
	deaf     bool

	filterControl, mappingControl, filterClosing, mappingClosing *probe

	addrs        []netip.Addr // Main's address and the other that is probed
	nextMap      time.Time    // when pace allows a new mapping
	seen         time.Time    // when Next was called last
	filtersAsked bool
	silence      bool // introductions seem to be ignored
	routed       bool // the probe ports look blocked: routes are tried
	finished     bool
}

// NewPlanner starts a round: the first packets are due at once.
func NewPlanner(c PlannerConfig, now time.Time) *Planner {
	if c.RTT <= 0 {
		c.RTT = unknownRTT
	}
	foreign := func(a netip.AddrPort) bool {
		return a.Addr().Is4() != c.Main.Addr().Is4() || a == c.Main
	}
	c.Probes = slices.DeleteFunc(slices.Clone(c.Probes), foreign)
	c.Routes = slices.DeleteFunc(slices.Clone(c.Routes), foreign)
	c.Routes = c.Routes[:min(len(c.Routes), maxRoutes)]
	patience := min(c.RTT+lateness, maxInterval)
	p := &Planner{
		c:        c,
		patience: patience,
		interval: max(patience, tryInterval),
		deaf:     c.Deaf,
		grace:    min(max(3*c.RTT, minGrace), maxGrace),
		nextMap:  now,
	}
	p.addrs = []netip.Addr{c.Main.Addr()}
	for _, a := range c.Probes {
		if len(p.addrs) < 2 && a.Addr() != c.Main.Addr() {
			p.addrs = append(p.addrs, a.Addr())
		}
	}
	p.filterControl = p.ask(KindControlFilter, c.Main, MinTries, now)
	p.mappingControl = p.ask(KindControlMapping, c.Main, MinTries, now)
	if c.Family.IsValid() {
		p.ask(KindFamily, c.Family, familyTries, now)
	}
	p.plan(now)
	return p
}

// ports returns the probe sockets on addr, those for filters or those for
// mappings: no port serves both, since mapping probes make the client send there.
func (p *Planner) ports(addr netip.Addr, kind Kind) []netip.AddrPort {
	all := slices.DeleteFunc(slices.Clone(p.c.Probes), func(a netip.AddrPort) bool { return a.Addr() != addr })
	filters := min(len(all), 1)
	if kind == KindFilter {
		return all[:filters]
	}
	return all[filters:]
}

func (p *Planner) ask(kind Kind, node netip.AddrPort, limit int, due time.Time) *probe {
	q := &probe{Observation: Observation{Kind: kind, Node: node}, limit: limit, full: limit, due: due}
	p.probes = append(p.probes, q)
	return q
}

// Next returns the packets to send now.
func (p *Planner) Next(now time.Time) []Packet {
	if p.finished {
		return nil
	}
	p.seen = now
	var out []Packet
	for before := -1; before != len(p.probes); {
		before = len(p.probes)
		out = p.send(out, now)
		p.plan(now)
	}
	p.settle()
	return out
}

func (p *Planner) settle() {
	p.finished = !slices.ContainsFunc(p.probes, func(q *probe) bool { return !q.finished })
}

// send appends what is due of the probes there are.
func (p *Planner) send(out []Packet, now time.Time) []Packet {
	for id, q := range p.probes {
		if q.finished || q.due.After(now) {
			continue
		}
		if p.waits(q) {
			q.finished = p.deaf && !now.Before(q.last.Add(maxDeafness))
			continue
		}
		if q.Tries == q.limit || p.packets == MaxPackets {
			q.finished = true
			continue
		}
		if q.Tries == 0 {
			q.Since = now
		}
		q.Tries++
		q.last = now
		p.packets++
		out = append(out, q.packet(id))
		switch q.Tries {
		case q.limit:
			q.due = now.Add(p.grace)
		case 1:
			q.due = now.Add(p.patience)
		default:
			q.due = now.Add(p.interval)
		}
	}
	return out
}

// waits reports whether q is not asked again for now: before the client is known to
// answer introductions, if it ever does, or before the control of q was answered.
func (p *Planner) waits(q *probe) bool {
	control := p.filterControl
	if q.introduces() {
		if p.deaf {
			return q.Tries > 0
		}
		control = p.mappingControl
	}
	return q.Tries > 0 && control.Hits == 0 && q.Kind != control.Kind
}

// Again says that the client answers introductions that were sent at since or later, if
// it ever does: others that it has not answered are asked again, and its silence then
// counts for nothing.
func (p *Planner) Again(now, since time.Time) {
	p.deaf = false
	if p.finished {
		return
	}
	for _, q := range p.probes {
		if q.introduces() && q.Hits == 0 && q.Tries > 0 && q.last.Before(since) {
			q.void, q.Tries, q.limit, q.due, q.finished = q.void+q.Tries, 0, q.full, now, false
			p.silence = false
			if q.Kind == KindMapping {
				q.due, p.routed = p.paced(now), false
			}
		}
	}
}

// paced is when the next new mapping may be made.
func (p *Planner) paced(now time.Time) time.Time {
	at := later(p.nextMap, now)
	p.nextMap = at.Add(pace)
	return at
}

// AskFamily has an address of the other family proven: see PlannerConfig.Family. A
// round asks once.
func (p *Planner) AskFamily(node netip.AddrPort, now time.Time) {
	if !p.finished && len(p.of(KindFamily)) == 0 {
		p.ask(KindFamily, node, familyTries, now)
	}
}

// over is how many tries of q were answered or could have been by now.
func (p *Planner) over(q *probe, now time.Time) int {
	if q.Hits > 0 || q.Tries == 0 || !now.Before(q.last.Add(p.patience)) {
		return q.Tries
	}
	return q.Tries - 1
}

// Answered reports an answer to a packet with this ID, which came from the
// client's address from.
func (p *Planner) Answered(id int, from netip.AddrPort, now time.Time) {
	if id < 0 || id >= len(p.probes) {
		return
	}
	q := p.probes[id]
	if q.Tries+q.void == 0 || q.Hits > 0 {
		return
	}
	// An answer to a try before Again is one all the same.
	q.Tries = max(q.Tries, 1)
	q.Hits, q.At, q.Seen, q.finished = 1, now, from, true
	if !p.finished {
		p.plan(now)
		p.settle()
	}
}

// Deadline returns when Next has something to do, or what is known early changes;
// zero once the round is over. A round whose client is deaf may wait for Again alone.
func (p *Planner) Deadline() time.Time {
	var d time.Time
	earlier := func(at time.Time) {
		if d.IsZero() || at.Before(d) {
			d = at
		}
	}
	for _, q := range p.probes {
		switch {
		case q.finished:
		case p.waits(q):
			if p.deaf && q.introduces() {
				earlier(q.last.Add(maxDeafness))
			}
		case q.Tries == EarlyTries && p.seen.Before(q.last.Add(p.patience)):
			earlier(q.last.Add(p.patience))
		default:
			earlier(q.due)
		}
	}
	return d
}

// Packets returns how many packets the round has sent.
func (p *Planner) Packets() int { return p.packets }

// Observations returns what is known so far, with those of Recent that this round
// did not ask again: filters. It is all that there is to remember of both.
func (p *Planner) Observations() []Observation {
	return p.observations(func(q *probe) int { return q.Tries })
}

func (p *Planner) observations(tries func(*probe) int) []Observation {
	out := p.carried()
	for _, q := range p.probes {
		o := q.Observation
		if o.Tries = tries(q); o.Tries == 0 || p.deaf && q.introduces() && o.Hits == 0 {
			continue
		}
		if o.Hits == 0 {
			o.At = q.last
		}
		if o.Kind == KindFilter || o.Kind == KindControlFilter {
			o.Seen = netip.AddrPort{} // where it answers from to a stranger is no mapping
		}
		out = append(out, o)
	}
	return out
}

// carried returns the latest filter observation of each address that has none in
// this round.
func (p *Planner) carried() []Observation {
	out := make([]Observation, 0, len(p.addrs)+len(p.probes))
	for _, addr := range p.addrs {
		if slices.ContainsFunc(p.probes, func(q *probe) bool { return q.Kind == KindFilter && q.Tries > 0 && q.Node.Addr() == addr }) {
			continue
		}
		var latest Observation
		for _, o := range p.c.Recent {
			if o.Kind == KindFilter && o.Node.Addr() == addr && o.At.After(latest.At) {
				latest = o
			}
		}
		if latest.Tries > 0 {
			out = append(out, latest)
		}
	}
	return out
}
