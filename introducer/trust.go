package introducer

import (
	"net/netip"
	"slices"

	"pileus/natprobe"
	"pileus/rtmfp/udp"
)

// Trust is what is known of an alternate that nobody named: a second address of the
// machine, which may or may not lead to the same clients.
type Trust uint8

const (
	// OnTrial: what answers there is evidence, silence is none.
	OnTrial Trust = iota
	// Trusted: it is as good as one that somebody named.
	Trusted
	// SetAside: clients do not get there, and it is used no more.
	SetAside
)

func (t Trust) String() string { return [...]string{"on trial", "trusted", "set aside"}[t] }

const (
	// trustedAfter clients that have answered there, at as many addresses, an alternate
	// is trusted: one might be a neighbour of the machine's.
	trustedAfter = 3
	// asideAfter clients that answered at the main address and none of them there, it is
	// set aside: of ten, not all have a firewall that knows one address alone.
	asideAfter = 10
)

// candidates are the alternates that nobody named, by outside name. The zero value has none.
type candidates struct {
	of map[netip.Addr]*candidate
}

// A candidate counts clients by their addresses; at most asideAfter of each sort.
type candidate struct {
	trust            Trust
	silent, answered map[netip.Addr]struct{}
}

// set says which there are. Of those that were there before what is known stays.
func (t *candidates) set(addrs []netip.Addr) {
	was := t.of
	t.of = make(map[netip.Addr]*candidate, len(addrs))
	for _, a := range addrs {
		if t.of[a] = was[a]; t.of[a] == nil {
			t.of[a] = &candidate{silent: make(map[netip.Addr]struct{}), answered: make(map[netip.Addr]struct{})}
		}
	}
}

// probed reports whether clients are to be probed from a: it is on trial, or trusted.
func (t *candidates) probed(a netip.Addr) bool {
	one := t.of[a]
	return one != nil && one.trust != SetAside
}

// trusted reports whether a may be named to clients as a named alternate may.
func (t *candidates) trusted(a netip.Addr) bool {
	one := t.of[a]
	return one != nil && one.trust == Trusted
}

// judge takes what one round of probes of a client found. It returns what of it is
// evidence: without the silence of alternates that are not trusted; and the alternates
// of which it is known by now what they are.
func (t *candidates) judge(client netip.Addr, obs []natprobe.Observation) (evidence []natprobe.Observation, verdicts map[netip.Addr]Trust) {
	if len(t.of) == 0 {
		return obs, nil
	}
	control := false
	asked, answered := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, o := range obs {
		switch {
		case o.Kind == natprobe.KindControlMapping:
			control = control || o.Hits > 0
		case t.of[o.Node.Addr()] != nil && o.Tries > 0 && (o.Kind == natprobe.KindMapping || o.Kind == natprobe.KindFilter || o.Kind == natprobe.KindRoute):
			// A filter may let nothing pass that comes unasked: only its answers count.
			asked[o.Node.Addr()] = asked[o.Node.Addr()] || o.Kind != natprobe.KindFilter
			answered[o.Node.Addr()] = answered[o.Node.Addr()] || o.Hits > 0
		}
	}
	for a, one := range t.of {
		before := one.trust
		switch {
		case answered[a]:
			one.count(one.answered, client)
			delete(one.silent, client)
		case asked[a] && control:
			one.count(one.silent, client)
		}
		if one.trust != before {
			if verdicts == nil {
				verdicts = make(map[netip.Addr]Trust)
			}
			verdicts[a] = one.trust
		}
	}
	return t.evidence(obs), verdicts
}

// evidence is what judge returns of observations, of a round that goes on still.
func (t *candidates) evidence(obs []natprobe.Observation) []natprobe.Observation {
	if len(t.of) == 0 {
		return obs
	}
	kept := make([]natprobe.Observation, 0, len(obs))
	for _, o := range obs {
		if one := t.of[o.Node.Addr()]; one == nil || one.trust == Trusted || o.Hits > 0 {
			kept = append(kept, o)
		}
	}
	return kept
}

// count counts a client, and decides.
func (one *candidate) count(who map[netip.Addr]struct{}, client netip.Addr) {
	if one.trust != OnTrial {
		return
	}
	if len(who) < asideAfter {
		who[client] = struct{}{}
	}
	switch {
	case len(one.answered) >= trustedAfter:
		one.trust = Trusted
	case len(one.answered) == 0 && len(one.silent) >= asideAfter:
		one.trust = SetAside
	}
}

// outsideOf are the outside names of own addresses.
func (n *Node) outsideOf(addrs []netip.Addr) []netip.Addr {
	list := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		list[i] = n.cfg.Names.Outside(netip.AddrPortFrom(a, 0)).Addr()
	}
	return list
}

// judge takes what a round of probes of p found, and returns what of it is evidence.
func (n *Node) judge(p *Peer, obs []natprobe.Observation) []natprobe.Observation {
	evidence, verdicts := n.candidates.judge(p.Addr().Addr(), obs)
	for a, t := range verdicts {
		if n.cfg.Judged != nil {
			n.cfg.Judged(a, t)
		}
	}
	return evidence
}

// alternate reports whether an own address may be used for any client: somebody named
// it, or it is trusted.
func (n *Node) alternate(own netip.Addr) bool {
	return slices.Contains(n.cfg.Alternates, own) || n.candidates.trusted(n.outsideOf([]netip.Addr{own})[0])
}

// probeVantage is vantage for probes: with the alternates that are on trial.
func (n *Node) probeVantage(p *Peer, list []netip.AddrPort) []netip.AddrPort {
	picked, names := n.vantage(p, list), n.namesFor(p)
	at := names.Outside(p.session.Local()).Addr()
	for _, a := range list {
		outside := names.Outside(a)
		if n.candidates.probed(n.cfg.Names.Outside(a).Addr()) && outside.Addr().Is4() == at.Is4() && udp.SameReach(outside.Addr(), at) && !slices.Contains(picked, outside) {
			picked = append(picked, outside)
		}
	}
	return picked
}
