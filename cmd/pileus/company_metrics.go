package main

import (
	"pileus/cmd/pileus/admin"
	"pileus/introducer"
)

var (
	metricTurnedAway    = admin.Counter("pileus_connects_refused_total", "Clients that were not taken: by a tenant's rules, by the core server, or while draining.")
	metricToCores       = admin.Counter("pileus_core_hellos_total", "IHellos for core servers; no_core: none could be named, and they got silence.", "result")
	metricCoresRefused  = admin.Counter("pileus_core_registrations_refused_total", "Core servers that were not taken: a wrong password, or too many.")
	metricNeighbors     = admin.Counter("pileus_group_neighbors_total", "Messages that told a member of a NetGroup of another.")
	metricGroupsRefused = admin.Counter("pileus_group_joins_refused_total", "Clients that did not get into a NetGroup, by reason.", "reason")
	metricPassed        = admin.Counter("pileus_client_messages_total", "Messages between clients through the node that were passed on, one for each receiver.")
	metricNotPassed     = admin.Counter("pileus_client_messages_refused_total", "Messages between clients that were not passed on, by why: too large as written out, its sender's, its receiver's or the node's rate used up, too many broadcasts at once, or its receiver does not read.", "reason")
	metricSpreading     = admin.Gauge("pileus_spreading", "Broadcasts and events that are on their way to many receivers, now.")
	metricShared        = admin.Gauge("pileus_shared", "How many of what clients share are held, and how many there are (0: any number); of names and watches by the tenant that has used most of its own.", "what", "is")
	metricSharedRefused = admin.Counter("pileus_shared_refused_total", "Times that a client was refused one more of what clients share: above its own, its network's or one peer's (target) share while more than half was in use, or above the limit. Introductions go out all the same, once.", "what", "above")
)

// companySamples are the counters of whom the node serves together: core servers,
// groups, clients with something to say to each other.
func companySamples(s *introducer.Stats) []admin.Sample {
	list := []admin.Sample{
		sample(metricTurnedAway, s.Refused),
		sample(metricToCores, s.ToCores, "sent_on"),
		sample(metricToCores, s.NoCore, "no_core"),
		sample(metricCoresRefused, s.CoresRefused),
		sample(metricNeighbors, s.Neighbors),
		sample(metricPassed, s.Messages),
		sample(metricSpreading, uint64(s.Spreading)),
	}
	for r, count := range s.MessageRefused {
		list = append(list, sample(metricNotPassed, count, introducer.MessageRefusal(r).String()))
	}
	for t, shared := range s.Shared {
		what := introducer.SharedThing(t).String()
		list = append(list,
			sample(metricShared, uint64(shared.Held), what, "held"),
			sample(metricShared, uint64(shared.Limit), what, "limit"),
			sample(metricSharedRefused, shared.OverShare, what, "share"),
			sample(metricSharedRefused, shared.OverAll, what, "limit"))
	}
	list = append(list, sample(metricSharedRefused, s.Crowded, introducer.SharedIntroductions.String(), "target"))
	for r, count := range s.GroupRefused {
		list = append(list, sample(metricGroupsRefused, count, introducer.GroupRefusal(r).String()))
	}
	return list
}
