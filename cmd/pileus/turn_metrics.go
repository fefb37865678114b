package main

import (
	"strconv"

	"pileus/cmd/pileus/admin"
	"pileus/relay/turn"
)

var (
	metricTURNOpen     = admin.Gauge("pileus_turn_allocations", "TURN allocations now, by the client's transport.", "transport")
	metricTURNOpened   = admin.Counter("pileus_turn_allocations_opened_total", "TURN allocations, by the client's transport.", "transport")
	metricTURNStreams  = admin.Gauge("pileus_turn_streams", "TCP and TLS connections to TURN now.")
	metricTURNMax      = admin.Gauge("pileus_turn_streams_max", "TCP and TLS connections to TURN that there may be at once, as the process may open files.")
	metricTURNRequests = admin.Counter("pileus_turn_requests_total", "Requests to TURN: binding, granted, or the error code they got.", "result")
	metricTURNDrops    = admin.Counter("pileus_turn_drops_total", "Messages, packets and connections at TURN without effect, by reason.", "reason")
	metricTURNFlaws    = admin.Counter("pileus_turn_flawed_names_total", "Names for TURN that were signed with the right password, and are expired, have no time in whole seconds, or one that is too far away.", "flaw")
	metricTURNEngine   = admin.Counter("pileus_turn_engine_errors_total", "Messages that passed the checks and could not be handled all the same, as when an allocation ends meanwhile.")
)

func (t *turnService) samples() []admin.Sample {
	s := t.server.Stats()
	list := []admin.Sample{
		sample(metricTURNStreams, uint64(s.Streams)),
		sample(metricTURNMax, uint64(t.server.MaxStreams())),
		sample(metricTURNRequests, s.Bindings, "binding"),
		sample(metricTURNRequests, s.Granted, "granted"),
		sample(metricTURNEngine, s.PionSaid),
	}
	for _, p := range turn.Transports() {
		list = append(list,
			sample(metricTURNOpen, uint64(s.Allocations[p]), p.String()),
			sample(metricTURNOpened, s.Opened[p], p.String()))
	}
	for code, n := range s.Refused {
		list = append(list, sample(metricTURNRequests, n, strconv.Itoa(code)))
	}
	for _, f := range turn.NameFlaws() {
		list = append(list, sample(metricTURNFlaws, s.Flaws[f], f.String()))
	}
	s.EachDrop(func(reason string, n uint64) { list = append(list, sample(metricTURNDrops, n, reason)) })
	return list
}
