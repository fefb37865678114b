package main

import (
	"pileus/cmd/pileus/admin"
	"pileus/introducer/pairing"
)

var (
	metricVerdicts      = admin.Counter("pileus_hook_verdicts_total", "Questions to the core server; none: it gave none, and hooks.when_down decided.", "verdict")
	metricHookFailures  = admin.Counter("pileus_hook_failures_total", "Hooks that brought nothing: questions without a verdict (ask), tries of events that were not taken (tell); why.", "hook", "reason")
	metricEvents        = admin.Counter("pileus_hook_events_total", "Events for the core server; discarded: it refused them; lost: the queue was full.", "fate")
	metricEventsWaiting = admin.Gauge("pileus_hook_events_waiting", "Events that wait for the core server.")
)

func (n *node) hookSamples() []admin.Sample {
	var s pairing.Stats // nothing, without a core
	if h := n.hooks.client(); h != nil {
		s = h.Stats()
	}
	list := []admin.Sample{
		sample(metricVerdicts, s.Allowed, "allowed"),
		sample(metricVerdicts, s.Refused, "refused"),
		sample(metricVerdicts, s.NoAnswer, "none"),
		sample(metricEvents, s.Told, "told"),
		sample(metricEvents, s.Retries, "retried"),
		sample(metricEvents, s.Discarded, "discarded"),
		sample(metricEvents, s.Lost, "lost"),
		sample(metricEventsWaiting, uint64(s.Waiting)),
	}
	for why := range pairing.NumFailures {
		list = append(list, sample(metricHookFailures, s.AskFailures[why], "ask", why.String()), sample(metricHookFailures, s.TellFailures[why], "tell", why.String()))
	}
	return list
}
