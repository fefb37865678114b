package main

import (
	"pileus/cmd/pileus/admin"
	"pileus/introducer/pairing"
)

var (
	metricVerdicts      = admin.Counter("pileus_hook_verdicts_total", "Questions to the core server; none: it did not answer, and hooks.when_down decided.", "verdict")
	metricEvents        = admin.Counter("pileus_hook_events_total", "Events for the core server; discarded: it refused them; lost: the queue was full.", "fate")
	metricEventsWaiting = admin.Gauge("pileus_hook_events_waiting", "Events that wait for the core server.")
)

func (n *node) hookSamples() []admin.Sample {
	var s pairing.Stats // nothing, without a core
	if h := n.hooks.client(); h != nil {
		s = h.Stats()
	}
	return []admin.Sample{
		sample(metricVerdicts, s.Allowed, "allowed"),
		sample(metricVerdicts, s.Refused, "refused"),
		sample(metricVerdicts, s.NoAnswer, "none"),
		sample(metricEvents, s.Told, "told"),
		sample(metricEvents, s.Retries, "retried"),
		sample(metricEvents, s.Discarded, "discarded"),
		sample(metricEvents, s.Lost, "lost"),
		sample(metricEventsWaiting, uint64(s.Waiting)),
	}
}
