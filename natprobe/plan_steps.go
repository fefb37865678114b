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
	if p.filterControl.silent() {
		for _, q := range p.of(KindFilter) {
			q.finished = true
		}
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

// planFilters asks from one port of each address, and closes with the control.
func (p *Planner) planFilters(now time.Time) {
	filters := p.of(KindFilter)
	if len(filters) == 0 {
		if p.filtersAsked {
			return
		}
		p.filtersAsked = true
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
		if q.Hits == 0 && q.Tries < q.limit && !q.finished {
			return
		}
		unanswered = unanswered || q.Hits == 0
	}
	if unanswered && p.filterControl.Hits > 0 {
		p.filterClosing = p.ask(KindControlFilter, p.c.Main, closingTries, now)
	}
}

// opened reports whether the filter towards addr was measured or opened lately. The
// client writes to Main's address anyhow: there only the probe's own port counts.
func (p *Planner) opened(addr netip.Addr, now time.Time) bool {
	own := addr == p.c.Main.Addr()
	return slices.ContainsFunc(p.c.Recent, func(o Observation) bool {
		switch o.Kind {
		case KindFilter:
		case KindMapping, KindRoute:
			if own {
				return false
			}
		default:
			return false
		}
		return o.Node.Addr() == addr && now.Sub(o.At) < Rest
	})
}

// named reports whether introductions may name addr: the client writes to Main's
// address anyhow, to others only when their filter has been measured. (Of whom only
// Main hears, filters are the least concern.)
func (p *Planner) named(addr netip.Addr) bool {
	if addr == p.c.Main.Addr() || p.routed {
		return true
	}
	if p.filterControl.Hits == 0 && !p.filterControl.finished {
		return false
	}
	return !slices.ContainsFunc(p.probes, func(q *probe) bool {
		return q.Kind == KindFilter && q.Node.Addr() == addr && !q.finished
	})
}

// planMappings asks where the client's packets to other ports and addresses come
// from: two ports of each address, more to see a rule once they differ, and more still
// if it may be a step of more than one.
func (p *Planner) planMappings(now time.Time) {
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
	more := p.nextMappings(len(asked), differs, differs && len(hits) >= minAllocations && gapsOf(hits).coarse())
	for _, node := range more {
		limit := mappingTries
		if p.routed && len(hits) == 0 {
			limit = blockedTries
		}
		p.ask(KindMapping, node, limit, p.paced(now))
	}
	p.thinOut(asked, len(hits) > 0, now)
	if p.mappingClosing != nil || p.mappingControl.Hits == 0 || len(asked) == 0 || len(more) > 0 {
		return
	}
	// The bracket closes after the last answer, or with the last try of those
	// that nothing answers.
	ended := !slices.ContainsFunc(asked, func(q *probe) bool { return q.Tries < q.limit && !q.finished }) &&
		!slices.ContainsFunc(p.addrs, func(a netip.Addr) bool { return !p.named(a) })
	if ended && (differs && !waiting || len(hits) == 0) {
		p.mappingClosing = p.ask(KindControlMapping, p.c.Main, closingTries, now)
	}
}

// nextMappings returns the mapping ports to add to those that were asked, of the
// addresses that may be named by now. The rule in the ports shows at Main's address,
// the other only has to fill up what that has too few of.
func (p *Planner) nextMappings(asked int, differs, coarse bool) (add []netip.AddrPort) {
	wanted := baseMapping * len(p.addrs)
	switch {
	case coarse:
		wanted = coarseMapping
	case differs:
		wanted = max(wanted, wantedMapping)
	}
	for i := range wanted {
		for _, addr := range p.addrs {
			ports := p.ports(addr, KindMapping)
			own := addr == p.c.Main.Addr()
			if i >= len(ports) || !p.named(addr) || i >= baseMapping && (!differs || asked+len(add) >= wanted) {
				continue
			}
			if own && i >= wantedMapping {
				continue
			}
			if !slices.ContainsFunc(p.probes, func(q *probe) bool { return q.Kind == KindMapping && q.Node == ports[i] }) {
				add = append(add, ports[i])
			}
		}
	}
	return add
}

// thinOut spares packets where nothing is answered though the control is: after two
// rounds one probe goes on alone, long enough for its silence to mean something. An
// answer that comes after all brings the others back.
func (p *Planner) thinOut(asked []*probe, answered bool, now time.Time) {
	switch {
	case p.routed && answered:
		for _, q := range asked {
			q.limit = mappingTries
		}
	case p.routed || answered || len(asked) == 0 || p.deaf || p.mappingControl.Hits == 0:
	case !slices.ContainsFunc(asked, func(q *probe) bool { return p.over(q, now) < EarlyTries }):
		p.routed = true
		for _, q := range p.of(KindFilter) {
			q.finished = q.finished || q.Node.Addr() != p.c.Main.Addr() // it will be named
		}
		asked[0].limit = MinTries
		for _, q := range asked[1:] {
			q.limit = q.Tries
		}
	}
}

// planRoutes asks for answers to where a relay could be, once the probe ports
// look blocked.
func (p *Planner) planRoutes(now time.Time) {
	if !p.routed {
		return
	}
	for _, node := range p.c.Routes {
		if !slices.ContainsFunc(p.probes, func(q *probe) bool { return q.Kind == KindRoute && q.Node == node }) {
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
