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
	metricPassed        = admin.Counter("pileus_client_messages_total", "Messages between clients through the node, one for each receiver; lost: a limit, or nobody read them.", "result")
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
		sample(metricPassed, s.Messages, "passed"),
		sample(metricPassed, s.MessagesLost, "lost"),
	}
	for r, count := range s.GroupRefused {
		list = append(list, sample(metricGroupsRefused, count, introducer.GroupRefusal(r).String()))
	}
	return list
}
