package natprobe

import (
	"net/netip"
	"slices"
	"time"
)

// Classify says what obs tells at now. It never guesses: what the record fits
// more than one way is unknown. Observations from after now, older than MaxAge or
// from before the observed address changed do not count; their order is free.
func Classify(obs []Observation, now time.Time) Behavior {
	e := gather(obs, now)
	return e.classify()
}

// Early is Classify for who has to decide now, of a record that may not be
// complete: see [Planner.Early]. Answers count as ever; silence counts after
// EarlyTries, and may be loss once in thirty times where every tenth packet is lost.
func Early(obs []Observation, now time.Time) Behavior {
	e := gather(obs, now)
	e.early = true
	return e.classify()
}

func (e *evidence) classify() Behavior {
	var b Behavior
	b.Mapping, b.MappingBy = e.mapping()
	b.Filtering, b.FilteringBy = e.filtering()
	b.Public = e.public(b.Mapping)
	b.FirewallOnly = firewallOnly(b)
	b.Pooling = e.pooling()
	e.allocate(&b)
	b.Hairpin = e.hairpins(b)
	b.AnswersIntroductions = e.answersIntroductions()
	b.BlockedRoutes, b.Reachable = e.blockedRoutes()
	return b
}

// passage is what became of probes that one part of the outside sent.
type passage uint8

const (
	passageUnknown passage = iota
	passes
	filtered
)

func (e *evidence) filtering() (Filtering, Finding) {
	same := those(e.filters, func(o Observation) bool { return o.Node.Addr() == e.main.Addr() })
	other := those(e.filters, func(o Observation) bool { return o.Node.Addr() != e.main.Addr() })
	by := total(e.filters)
	if !e.main.IsValid() {
		return FilteringUnknown, by.finding(Unknown)
	}
	result := filteringOf(e.passage(same), e.passage(other))
	if result == FilteringUnknown {
		return result, by.finding(Unknown)
	}
	return result, by.finding(Yes)
}

// passage judges the probes of one part. Silence counts only if an answer had a
// way back: the host's packets reached another port of the same address. (Early on,
// of any: an address is named to the host only when its filter has been measured.)
func (e *evidence) passage(probes []Observation) passage {
	s := total(probes)
	if s.hits > 0 {
		return passes
	}
	if !e.silent(s) || !e.willing(e.filterControls, s.at) {
		return passageUnknown
	}
	for _, p := range probes {
		if !slices.ContainsFunc(e.mappings, func(o Observation) bool {
			return answered(o) && (e.early || o.Node.Addr() == p.Node.Addr()) && o.Node.Port() != e.main.Port()
		}) {
			return passageUnknown
		}
	}
	return filtered
}

// filteringOf combines what passes from another port of the address that the host
// talks to and what from other addresses.
func filteringOf(samePart, otherPart passage) Filtering {
	switch {
	case samePart == filtered && otherPart != passes:
		return APDF
	case samePart == passes && otherPart == filtered:
		return ADF
	case samePart == passes && otherPart == passageUnknown:
		return FilteringNotAPDF
	case samePart == passageUnknown && otherPart == filtered:
		return FilteringNotEIF
	case samePart != filtered && otherPart == passes:
		return EIF
	}
	return FilteringUnknown // nothing known, or a contradiction
}

// public compares what the host reports with what is seen. That a host reports
// the address seen is believed only if the address is the same everywhere: some
// learn their outside address and report that.
func (e *evidence) public(m Mapping) Finding {
	f := Finding{At: e.observed}
	sameIP := false
	for _, r := range e.reported {
		f.Tries++
		if r == e.seen {
			f.Hits++
		}
		sameIP = sameIP || r.Addr() == e.seen.Addr()
	}
	switch {
	case !e.seen.IsValid():
	case m.Dependent():
		f.Answer = No
	case f.Hits > 0 && m != MappingUnknown:
		f.Answer = Yes
	case f.Tries > 0 && !sameIP:
		f.Answer = No
	}
	return f
}

func firewallOnly(b Behavior) Finding {
	f := b.FilteringBy
	switch {
	case b.Public.Answer == No:
		f = b.Public
		f.Answer = No
	case b.Public.Answer == Yes && b.Filtering.Restricted():
		f.Answer = Yes
	case b.Public.Answer == Yes && b.Filtering == EIF:
		f.Answer = No
	default:
		f.Answer = Unknown
	}
	return f
}

// hairpins: two sockets write to each other's public address. Where such a packet
// may leave from another port than the one observed, the filter may have dropped
// it.
func (e *evidence) hairpins(b Behavior) Finding {
	s := total(e.hairpin)
	visible := b.Mapping == EIM || b.Filtering == EIF
	switch {
	case s.hits > 0:
		return s.finding(Yes)
	case visible && e.silentForGood(s) && (answeredSince(e.mappingControls, s.at) || e.heardSince(s.at)):
		return s.finding(No)
	}
	return s.finding(Unknown)
}

func (e *evidence) heardSince(t time.Time) bool { return !e.observed.IsZero() && !e.observed.Before(t) }

// answersIntroductions: a client that is there, and silent even towards the
// address it holds its session with, does not want to be introduced.
func (e *evidence) answersIntroductions() Finding {
	introductions := func(o Observation) bool { return o.Via == ViaIntroduction }
	controls := those(e.mappingControls, introductions)
	s := total(append(those(e.mappings, introductions), controls...))
	if s.hits > 0 {
		return s.finding(Yes)
	}
	s = total(controls)
	if e.silentForGood(s) && (answeredSince(e.filterControls, s.at) || e.heardSince(s.at)) {
		return s.finding(No)
	}
	return s.finding(Unknown)
}

// blockedRoutes: introductions are answered towards the main address, and towards
// no other port. A STUN server whose other ports are silent may as well be broken
// itself, so its silence says nothing here.
func (e *evidence) blockedRoutes() (f Finding, reachable []netip.AddrPort) {
	if !e.main.IsValid() {
		return f, nil
	}
	elsewhere := those(e.mappings, func(o Observation) bool { return o.Node.Port() != e.main.Port() && o.Kind == KindMapping })
	s := total(elsewhere)
	if s.hits > 0 {
		return s.finding(No), nil
	}
	if own := those(elsewhere, func(o Observation) bool { return o.Node.Addr() == e.main.Addr() }); e.early && len(own) > 0 {
		s = total(own) // those of other addresses are asked later
	}
	byIntroduction := func(o Observation) bool { return o.Via == ViaIntroduction }
	if !e.silent(s) || !e.willing(those(e.mappingControls, byIntroduction), s.at) {
		return s.finding(Unknown), nil
	}
	routes := those(e.mappings, func(o Observation) bool { return o.Kind == KindRoute })
	if e.early && total(routes).hits == 0 && (len(routes) == 0 || !e.silent(total(routes))) {
		return s.finding(Yes), nil // where it gets through is not known yet
	}
	reachable = []netip.AddrPort{e.main}
	for _, o := range e.mappings {
		if o.Hits > 0 {
			reachable = append(reachable, o.Node)
		}
	}
	return s.finding(Yes), reachable
}
