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
	Recent   []Observation    // earlier record of the same observed address
}

// Bounds of one round of probes.
const (
	// MaxPackets is how many packets one round sends at most.
	MaxPackets = 48

	tryInterval = 170 * time.Millisecond // MinTries of them span a little more than MinSpan
	maxInterval = time.Second
	lateness    = 50 * time.Millisecond // an answer may take that much longer than the RTT
	pace        = 10 * time.Millisecond // between new mappings, so that they are made in this order
	minGrace    = 150 * time.Millisecond
	maxGrace    = time.Second
	unknownRTT  = 200 * time.Millisecond

	closingTries    = 4 // of a control that closes a bracket
	doubtfulTries   = 4 // of the mapping control: from then on silence is suspected
	silenceControls = 3
	mappingTries    = 5
	routeTries      = 3
	familyTries     = 3
	maxRoutes       = 4
	basePerNode     = 2 // mapping ports on each of two addresses
	wantedMapping   = 6 // once the mapping is seen to differ: enough to see the rule in its ports
	coarseMapping   = minCoarse
)

// probe is one question: it is asked until answered or limit is reached.
type probe struct {
	Observation
	limit    int
	due      time.Time // of the next try or, after the last, of giving up
	last     time.Time // the latest try
	finished bool
}

func (p *probe) packet(id int) Packet {
	kind := FIHello
	if p.Kind == KindControlFilter || p.Kind == KindFilter {
		kind = IHello
	}
	return Packet{Kind: kind, ID: id, Node: p.Node}
}

func (p *probe) silent() bool { return p.finished && p.Hits == 0 }

// Planner decides what to ask a client in one round of native probes (DESIGN:
// filtering by unsolicited hellos, mapping by introductions). It has no clock and
// no socket: its driver sends what Next gives when Deadline is due, a client at a
// time as its rate allows, and reports answers. Delays are harmless; a packet that
// Next gave must be sent before what it gives later.
type Planner struct {
	c       PlannerConfig
	probes  []*probe
	packets int

	interval time.Duration // between tries; longer than the RTT, so that an answer to the first is known as such
	grace    time.Duration // after the last

	filterControl, mappingControl, filterClosing, mappingClosing *probe

	addrs    []netip.Addr // Main's address and the other that is probed
	nextMap  time.Time    // when pace allows a new mapping
	silence  bool         // introductions seem to be ignored
	routed   bool         // the probe ports look blocked: routes are tried
	finished bool
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
	p := &Planner{
		c:        c,
		interval: min(max(c.RTT+lateness, tryInterval), maxInterval),
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
	return p
}

// ports returns the probe sockets on addr, those for filters or those for
// mappings: no port serves both, since mapping probes make the client send there.
func (p *Planner) ports(addr netip.Addr, kind Kind) []netip.AddrPort {
	all := slices.DeleteFunc(slices.Clone(p.c.Probes), func(a netip.AddrPort) bool { return a.Addr() != addr })
	filters := (len(all) + 3) / 4
	if kind == KindFilter {
		return all[:filters]
	}
	return all[filters:]
}

func (p *Planner) ask(kind Kind, node netip.AddrPort, limit int, due time.Time) *probe {
	q := &probe{Observation: Observation{Kind: kind, Node: node}, limit: limit, due: due}
	p.probes = append(p.probes, q)
	return q
}

// Next returns the packets to send now.
func (p *Planner) Next(now time.Time) []Packet {
	if p.finished {
		return nil
	}
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
		q.due = now.Add(p.interval)
		if q.Tries == q.limit {
			q.due = now.Add(p.grace)
		}
	}
	return out
}

// Answered reports an answer to a packet with this ID, which came from the
// client's address from.
func (p *Planner) Answered(id int, from netip.AddrPort, now time.Time) {
	if id < 0 || id >= len(p.probes) {
		return
	}
	q := p.probes[id]
	if q.Tries == 0 || q.Hits > 0 {
		return
	}
	q.Hits, q.At, q.Seen, q.finished = 1, now, from, true
	if !p.finished {
		p.plan(now)
		p.settle()
	}
}

// Deadline returns when Next has something to do, zero once the round is over.
func (p *Planner) Deadline() time.Time {
	var d time.Time
	for _, q := range p.probes {
		if !q.finished && (d.IsZero() || q.due.Before(d)) {
			d = q.due
		}
	}
	return d
}

// Packets returns how many packets the round has sent.
func (p *Planner) Packets() int { return p.packets }

// Observations returns what is known so far, with those of Recent that this round
// did not ask again: filters. It is all that there is to remember of both.
func (p *Planner) Observations() []Observation {
	out := p.carried()
	for _, q := range p.probes {
		if q.Tries == 0 {
			continue
		}
		o := q.Observation
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
