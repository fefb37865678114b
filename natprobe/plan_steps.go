package natprobe

import (
	"net/netip"
	"slices"
	"time"
)

// plan adds the probes whose turn has come.
func (p *Planner) plan(now time.Time) {
	if p.mappingControl.silent() {
		p.giveUp() // it answers no introduction: no other answer would help
		return
	}
	p.planSilence(now)
	p.planFilters(now)
	p.planMappings(now)
	p.planRoutes(now)
}

// planSilence asks the control of filters again when introductions seem to be
// ignored: whether the client is there, and how much is lost, decides what that
// means.
func (p *Planner) planSilence(now time.Time) {
	if p.silence || p.mappingControl.Hits > 0 || p.mappingControl.Tries < doubtfulTries {
		return
	}
	p.silence = true
	for i := range silenceControls {
		p.ask(KindControlFilter, p.c.Main, closingTries, now.Add(time.Duration(i)*p.interval))
	}
}

// giveUp ends what is still being asked.
func (p *Planner) giveUp() {
	for _, q := range p.probes {
		q.finished = true
	}
}

func (p *Planner) of(kind Kind) []*probe {
	var all []*probe
	for _, q := range p.probes {
		if q.Kind == kind {
			all = append(all, q)
		}
	}
	return all
}

// planFilters asks from one port of each address once the control is answered,
// and closes with the control.
func (p *Planner) planFilters(now time.Time) {
	if p.filterControl.Hits == 0 {
		return
	}
	filters := p.of(KindFilter)
	if len(filters) == 0 {
		if len(p.of(KindMapping)) > 0 {
			return // the control was answered too late: the addresses are named by now
		}
		for _, addr := range p.addrs {
			if ports := p.ports(addr, KindFilter); len(ports) > 0 && !p.opened(addr, now) {
				p.ask(KindFilter, ports[0], MinTries, now)
			}
		}
		return
	}
	if p.filterClosing != nil {
		return
	}
	unanswered := false
	for _, q := range filters {
		if q.Hits == 0 && q.Tries < q.limit {
			return
		}
		unanswered = unanswered || q.Hits == 0
	}
	if unanswered {
		p.filterClosing = p.ask(KindControlFilter, p.c.Main, closingTries, now)
	}
}

// opened reports whether the filter towards addr was measured or opened lately.
func (p *Planner) opened(addr netip.Addr, now time.Time) bool {
	return slices.ContainsFunc(p.c.Recent, func(o Observation) bool {
		switch o.Kind {
		case KindFilter, KindMapping, KindRoute:
			return o.Node.Addr() == addr && now.Sub(o.At) < Rest
		default:
			return false
		}
	})
}

// filterDone reports whether mapping probes may name addr.
func (p *Planner) filterDone(addr netip.Addr) bool {
	if p.filterControl.Hits == 0 {
		return p.filterControl.finished
	}
	for _, q := range p.of(KindFilter) {
		if q.Node.Addr() == addr && !q.finished {
			return false
		}
	}
	return true
}

// planMappings asks where the client's packets to other ports and addresses come
// from: two ports of each address, more to see a rule once they differ, and more still
// if it may be a step of more than one.
func (p *Planner) planMappings(now time.Time) {
	if p.mappingControl.Hits == 0 {
		return
	}
	asked := p.of(KindMapping)
	differs, waiting := false, false
	var hits []Observation
	for _, q := range asked {
		waiting = waiting || !q.finished
		if q.Hits > 0 {
			hits = append(hits, q.Observation)
			differs = differs || q.Seen != p.c.Observed
		}
	}
	wanted := basePerNode * len(p.addrs)
	switch {
	case differs && len(hits) >= minAllocations && gapsOf(hits).coarse():
		wanted = coarseMapping
	case differs:
		wanted = wantedMapping
	}
	more := p.nextMappings(wanted)
	for _, node := range more {
		q := p.ask(KindMapping, node, mappingTries, later(p.nextMap, now))
		p.nextMap = q.due.Add(pace)
	}
	p.thinOut(asked, len(hits) > 0)
	if p.mappingClosing != nil || len(asked) == 0 || len(more) > 0 {
		return
	}
	// The bracket closes after the last answer, or with the last try of those
	// that nothing answers.
	lastTries := !slices.ContainsFunc(asked, func(q *probe) bool { return q.Tries < q.limit })
	if differs && !waiting || len(hits) == 0 && lastTries {
		p.mappingClosing = p.ask(KindControlMapping, p.c.Main, closingTries, now)
	}
}

// nextMappings returns the mapping ports to add, to have as many as wanted, of those
// addresses that may be named by now: the addresses' first ports in turn.
func (p *Planner) nextMappings(wanted int) []netip.AddrPort {
	var add []netip.AddrPort
	count := len(p.of(KindMapping))
	for i := range wanted / len(p.addrs) {
		for _, addr := range p.addrs {
			ports := p.ports(addr, KindMapping)
			if i >= len(ports) || !p.filterDone(addr) || count+len(add) >= wanted {
				continue
			}
			if !slices.ContainsFunc(p.probes, func(q *probe) bool { return q.Kind == KindMapping && q.Node == ports[i] }) {
				add = append(add, ports[i])
			}
		}
	}
	return add
}

// thinOut spares packets where nothing is answered: after two rounds one probe
// goes on alone, long enough for its silence to mean something. An answer that
// comes after all brings the others back.
func (p *Planner) thinOut(asked []*probe, answered bool) {
	switch {
	case p.routed && answered:
		for _, q := range asked {
			q.limit = mappingTries
		}
	case p.routed || answered || len(asked) == 0:
	case !slices.ContainsFunc(asked, func(q *probe) bool { return q.Tries < 2 }):
		p.routed = true
		asked[0].limit = MinTries
		for _, q := range asked[1:] {
			q.limit = q.Tries
		}
	}
}

// planRoutes asks for answers to where a relay could be, once the probe ports
// look blocked; of each address after its filter, as for mappings.
func (p *Planner) planRoutes(now time.Time) {
	if !p.routed {
		return
	}
	for _, node := range p.c.Routes {
		known := slices.ContainsFunc(p.probes, func(q *probe) bool { return q.Kind == KindRoute && q.Node == node })
		if !known && p.filterDone(node.Addr()) {
			p.ask(KindRoute, node, routeTries, now)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
