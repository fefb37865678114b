package natprobe

import (
	"math"
	"net/netip"
	"slices"
	"time"
)

const (
	// MinTries and MinSpan are what silence needs before it means anything: with
	// every fifth round trip lost, seven in a row are lost once in 80,000 times,
	// and a burst of loss is shorter than the span.
	MinTries = 7
	MinSpan  = time.Second

	// EarlyTries is how much silence counts for an introduction that cannot wait:
	// tries of each probe, the second long enough after the first that its answer
	// would be there.
	EarlyTries = 2

	// maxChance is how probable it may be at most that loss explains silence.
	maxChance = 2e-3

	// Rest is how long a NAT may let packets in from where the host once sent
	// to: the filter of such an address is not measured before (RFC 4787 REQ-5
	// recommends mappings of five minutes or more).
	Rest = 10 * time.Minute

	// MaxAge is how long evidence counts, if the address does not change before.
	MaxAge = 24 * time.Hour
)

// evidence is a record sorted by question, without what does not count.
type evidence struct {
	early bool // see Early

	main     netip.AddrPort // where the host holds its session
	seen     netip.AddrPort // how it is seen there
	observed time.Time      // when it was last heard of
	reported []netip.AddrPort

	filterControls  []Observation
	filters         []Observation
	mappingControls []Observation
	mappings        []Observation // and routes; the latest for each node address
	sockets         []Observation
	hairpin         []Observation
}

// gather sorts what is known at now.
func gather(record []Observation, now time.Time) evidence {
	obs := slices.Clone(record)
	obs = slices.DeleteFunc(obs, func(o Observation) bool {
		return o.At.After(now) || now.Sub(o.At) > MaxAge
	})
	slices.SortStableFunc(obs, func(a, b Observation) int { return a.At.Compare(b.At) })

	var e evidence
	since := e.anchor(obs)
	for _, o := range obs {
		if o.Began().Before(since) || !e.sameFamily(o) {
			continue
		}
		switch o.Kind {
		case KindObserved:
			e.observed = o.At
		case KindReported:
			if !slices.Contains(e.reported, o.Seen) {
				e.reported = append(e.reported, o.Seen)
			}
		case KindControlFilter:
			e.filterControls = append(e.filterControls, o)
		case KindFilter:
			if !e.opened(obs, o) {
				e.filters = append(e.filters, o)
			}
		case KindControlMapping:
			e.mappingControls = append(e.mappingControls, o)
		case KindMapping, KindRoute:
			e.addMapping(o)
		case KindSocket:
			e.sockets = append(e.sockets, o)
		case KindHairpin:
			e.hairpin = append(e.hairpin, o)
		case KindFamily: // says nothing about this family
		}
	}
	return e
}

// anchor finds where the host's session is and how it is seen there, and since
// when: what was measured at another address says nothing about this one.
func (e *evidence) anchor(obs []Observation) (since time.Time) {
	for _, o := range obs {
		if o.Kind != KindObserved {
			continue
		}
		if e.seen.IsValid() && (o.Seen != e.seen || o.Node != e.main) {
			since = o.At
		}
		e.main, e.seen = o.Node, o.Seen
	}
	if e.seen.IsValid() {
		return since
	}
	for _, o := range obs {
		switch {
		case o.Kind == KindControlMapping && o.Hits > 0:
			e.main, e.seen = o.Node, o.Seen
			return since
		case o.Kind == KindControlMapping || o.Kind == KindControlFilter:
			e.main = o.Node
		}
	}
	return since
}

// sameFamily reports whether o is about the address family of the session: a
// host's IPv6 may go another way than its IPv4.
func (e *evidence) sameFamily(o Observation) bool {
	for _, a := range []netip.AddrPort{o.Node, o.Seen} {
		if a.IsValid() && e.main.IsValid() && a.Addr().Is4() != e.main.Addr().Is4() {
			return false
		}
	}
	return true
}

// opened reports whether the host may have sent to where the filter probe came
// from, shortly before or meanwhile: the probe then passes any filter.
func (e *evidence) opened(obs []Observation, probe Observation) bool {
	return slices.ContainsFunc(obs, func(o Observation) bool {
		switch o.Kind {
		case KindMapping, KindRoute, KindControlMapping, KindObserved:
		default:
			return false
		}
		if !o.Began().Before(probe.At) || probe.Began().Sub(o.At) > Rest {
			return false
		}
		return o.Node == probe.Node || o.Node.Addr() == probe.Node.Addr() && o.Node.Addr() != e.main.Addr()
	})
}

func (e *evidence) addMapping(o Observation) {
	if o.Node == e.main {
		return
	}
	i := slices.IndexFunc(e.mappings, func(m Observation) bool { return m.Node == o.Node })
	switch {
	case i < 0:
		e.mappings = append(e.mappings, o)
	case o.Hits > 0 || e.mappings[i].Hits == 0:
		e.mappings[i] = o
	}
}

// sum is what several observations of one question come to.
type sum struct {
	tries, hits int
	least       int       // tries of the observation with the fewest
	since, at   time.Time // at: of the last hit, or of the last try without one
}

func total(obs []Observation) (s sum) {
	for i, o := range obs {
		if i == 0 || o.Tries < s.least {
			s.least = o.Tries
		}
		if s.tries == 0 || o.Began().Before(s.since) {
			s.since = o.Began()
		}
		if o.At.After(s.at) {
			s.at = o.At
		}
		s.tries += o.Tries
		s.hits += o.Hits
	}
	return s
}

// silent reports whether there was no answer for so often and so long that loss
// does not explain it. It still takes a control to mean anything.
func (e *evidence) silent(s sum) bool {
	if e.early {
		return s.hits == 0 && s.least >= EarlyTries
	}
	return e.silentForGood(s)
}

func (e *evidence) silentForGood(s sum) bool {
	return s.hits == 0 && s.tries >= MinTries && s.at.Sub(s.since) >= MinSpan &&
		math.Pow(e.loss(), float64(s.tries)) <= maxChance
}

// loss estimates the share of probes that get no answer though nothing is in
// their way, from those that were answered after all, and half a loss more.
func (e *evidence) loss() float64 {
	lost, tries := 0, 0
	for _, o := range slices.Concat(e.filterControls, e.filters, e.mappingControls, e.mappings) {
		if o.Hits > 0 {
			lost += o.Tries - o.Hits
			tries += o.Tries
		}
	}
	return (float64(lost) + 0.5) / (float64(tries) + 2)
}

func (s sum) finding(a Answer) Finding {
	return Finding{Answer: a, Hits: s.hits, Tries: s.tries, At: s.at}
}

// willing reports whether a control was answered at t or later, that is, whether the
// host was there and willing until then. Early on, a control answered at all will do.
func (e *evidence) willing(controls []Observation, t time.Time) bool {
	return e.early && slices.ContainsFunc(controls, func(o Observation) bool { return o.Hits > 0 }) || answeredSince(controls, t)
}

func answeredSince(controls []Observation, t time.Time) bool {
	return slices.ContainsFunc(controls, func(o Observation) bool { return o.Hits > 0 && !o.At.Before(t) })
}

// those returns the observations for which keep holds.
func those(obs []Observation, keep func(Observation) bool) []Observation {
	var kept []Observation
	for _, o := range obs {
		if keep(o) {
			kept = append(kept, o)
		}
	}
	return kept
}

func answered(o Observation) bool { return o.Hits > 0 && o.Seen.IsValid() }
