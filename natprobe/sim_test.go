package natprobe

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"time"

	natlab "pileus/natprobe/lab"
)

// model is what a NAT does, with the client behind it; enough of a network for
// one client and a node, with its own clock.
type model struct {
	public    bool // no translation
	mapping   Mapping
	filtering Filtering
	alloc     Allocation
	step      int
	flows     float64                   // other hosts' new mappings, 1/s
	blocked   func(netip.AddrPort) bool // destinations that packets do not leave towards
	silent    bool                      // ignores FIHello

	chain []*natlab.NAT // does the translating, if there is one; host is behind it
	host  netip.AddrPort

	rand    *rand.Rand
	now     time.Time
	last    time.Time // of the last port taken
	next    int
	ports   map[mappingKey]uint16
	sent    map[uint16]map[netip.AddrPort]bool
	pending events
}

type mappingKey struct{ dst netip.AddrPort }

var (
	simStart  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	local     = netip.MustParseAddrPort("192.168.1.2:40000")
	outside   = netip.MustParseAddr("198.51.100.1")
	nodeMain  = netip.AddrPortFrom(natlab.FirstNodeAddress, natlab.NodePort)
	nodeOther = netip.AddrPortFrom(natlab.SecondNodeAddress, natlab.NodePort)
)

func (m *model) start(seed uint64) {
	m.rand = rand.New(rand.NewPCG(seed, 1))
	m.now = simStart
	m.last = m.now
	m.next = 20000 + m.rand.IntN(20000)
	m.ports = make(map[mappingKey]uint16)
	m.sent = make(map[uint16]map[netip.AddrPort]bool)
	m.pending = nil
	if m.public {
		m.mapping, m.alloc = EIM, Preserved
	}
}

func (m *model) own() netip.AddrPort {
	if m.host.IsValid() {
		return m.host
	}
	if m.public {
		return netip.AddrPortFrom(outside, local.Port())
	}
	return local
}

func (m *model) key(dst netip.AddrPort) mappingKey {
	switch m.mapping {
	case EIM:
		return mappingKey{}
	case ADM:
		return mappingKey{netip.AddrPortFrom(dst.Addr(), 0)}
	}
	return mappingKey{dst}
}

func (m *model) port() uint16 {
	switch m.alloc {
	case Stepping:
		others := m.rand.Float64() + m.now.Sub(m.last).Seconds()*m.flows
		m.next += m.step * (1 + int(others))
		m.last = m.now
		return uint16(m.next)
	case Ranged:
		return uint16(30208 + m.rand.IntN(512))
	case Random:
		return uint16(1024 + m.rand.IntN(64000))
	}
	return local.Port()
}

// out sends a packet of the client's out, and says where it appears to be from.
func (m *model) out(dst netip.AddrPort) (src netip.AddrPort, ok bool) {
	if m.blocked != nil && m.blocked(dst) {
		return src, false
	}
	if m.host.IsValid() {
		p := natlab.Packet{Src: m.host, Dst: dst}
		for _, nat := range m.chain {
			var fate natlab.Fate
			if p, fate = nat.Outbound(m.now, p); fate != natlab.ToOutside {
				return src, false
			}
		}
		return p.Src, true
	}
	k := m.key(dst)
	port, known := m.ports[k]
	if !known {
		port = m.port()
		m.ports[k] = port
	}
	if m.sent[port] == nil {
		m.sent[port] = make(map[netip.AddrPort]bool)
	}
	m.sent[port][dst] = true
	m.sent[port][netip.AddrPortFrom(dst.Addr(), 0)] = true
	return netip.AddrPortFrom(outside, port), true
}

// in reports whether a packet passes to the client.
func (m *model) in(src, dst netip.AddrPort) bool {
	if m.host.IsValid() {
		p := natlab.Packet{Src: src, Dst: dst}
		for i := len(m.chain) - 1; i >= 0; i-- {
			var fate natlab.Fate
			if p, fate = m.chain[i].Inbound(m.now, p); fate != natlab.ToInside {
				return false
			}
		}
		return p.Dst == m.host
	}
	to := m.sent[dst.Port()]
	switch m.filtering {
	case EIF:
		return to != nil
	case ADF:
		return to[netip.AddrPortFrom(src.Addr(), 0)]
	}
	return to[src]
}

// lab is a round of probes over a model.
type lab struct {
	loss float64 // each way
	rtt  time.Duration
	two  bool // the node has two addresses

	recent []Observation
}

func (l lab) config(observed netip.AddrPort) PlannerConfig {
	c := PlannerConfig{Main: nodeMain, Observed: observed, RTT: l.rtt, Recent: l.recent}
	for port := uint16(1936); port <= 1943; port++ {
		c.Probes = append(c.Probes, netip.AddrPortFrom(nodeMain.Addr(), port))
		if l.two {
			c.Probes = append(c.Probes, netip.AddrPortFrom(nodeOther.Addr(), port))
		}
	}
	c.Routes = []netip.AddrPort{netip.AddrPortFrom(nodeMain.Addr(), 443)}
	if l.two {
		c.Routes = append(c.Routes, nodeOther, netip.AddrPortFrom(nodeOther.Addr(), 443))
	}
	return c
}

type round struct {
	record  []Observation
	packets int
	took    time.Duration
	at      time.Time
	named   []Packet // in the order sent
}

// probe runs one round against m.
func (l lab) probe(m *model) round {
	observed, _ := m.out(nodeMain)
	r := round{record: []Observation{
		{Kind: KindObserved, Node: nodeMain, Seen: observed, At: m.now},
		{Kind: KindReported, Seen: m.own(), At: m.now},
	}}
	began := m.now
	p := NewPlanner(l.config(observed), m.now)
	for {
		due := p.Deadline()
		if due.IsZero() {
			break
		}
		if len(m.pending) > 0 && m.pending[0].at.Before(due) {
			e := heap.Pop(&m.pending).(event)
			m.now = e.at
			e.do()
			continue
		}
		m.now = later(m.now, due)
		for _, pkt := range p.Next(m.now) {
			r.named = append(r.named, pkt)
			l.deliver(m, p, pkt, observed)
		}
	}
	r.took, r.packets = m.now.Sub(began), p.Packets()
	r.record = append(r.record, p.Observations()...)
	r.record = append(r.record, Observation{Kind: KindObserved, Node: nodeMain, Seen: observed, At: m.now})
	r.at = m.now
	return r
}

func (l lab) deliver(m *model, p *Planner, pkt Packet, observed netip.AddrPort) {
	after := func(do func()) {
		if m.rand.Float64() >= l.loss {
			heap.Push(&m.pending, event{m.now.Add(l.rtt / 2), do})
		}
	}
	after(func() {
		if pkt.Kind == IHello && !m.in(pkt.Node, observed) || pkt.Kind == FIHello && m.silent {
			return
		}
		if src, ok := m.out(pkt.Node); ok {
			after(func() { p.Answered(pkt.ID, src, m.now) })
		}
	})
}

type event struct {
	at time.Time
	do func()
}

type events []event

func (q events) Len() int           { return len(q) }
func (q events) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q events) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *events) Push(e any)        { *q = append(*q, e.(event)) }
func (q *events) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}
