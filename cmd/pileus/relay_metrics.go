package main

import (
	"pileus/cmd/pileus/admin"
	"pileus/relay/limit"
	"pileus/relay/splice"
)

var (
	metricSplices    = admin.Gauge("pileus_splices", "Pairs of peers that the relay holds ports for now.")
	metricReserved   = admin.Gauge("pileus_splices_reserved", "Pairs of peers that the relay's ports were named to beside their own addresses, and that have not come.")
	metricSpliceEnds = admin.Counter("pileus_splices_ended_total", "Relayed pairs that are over, by reason; unbound: they met without the relay, or not at all.", "reason")
	metricRefused    = admin.Counter("pileus_splices_refused_total", "Pairs that the relay did not take, by reason.", "reason")
	metricRelayPorts = admin.Gauge("pileus_relay_ports", "Relay ports, by state; shared ones serve several pairs.", "state")
	metricRelayed    = admin.Counter("pileus_relay_packets_total", "Packets at the relay, by what happened; sent: startup packets that it kept or repeated.", "what")
	metricRelayDrops = admin.Counter("pileus_relay_drops_total", "Packets at the relay without effect, by reason.", "reason")
	metricMovedCalls = admin.Counter("pileus_relay_moved_total", "Introductions that went to other relay ports as more was known of a peer.")
	metricRebound    = admin.Counter("pileus_relay_rebound_total", "Peers that were believed a new address in a session.")
	metricCarried    = admin.Counter("pileus_relay_bytes_total", "IP bytes forwarded, by splices and TURN allocations.", "kind")
	metricMarked     = admin.Counter("pileus_relay_marks_total", "Packets marked with Congestion Experienced, over a limit.", "kind")
	metricLimited    = admin.Counter("pileus_relay_limit_drops_total", "Packets dropped over a limit, by reason.", "kind", "reason")
	metricOverQuota  = admin.Counter("pileus_relay_quota_refusals_total", "Pairs and TURN allocations refused for a quota, by whose; share: its part of what more than half is taken of.", "kind", "quota")
	metricUnrelayed  = admin.Counter("pileus_introductions_unrelayed_total", "Introductions that wanted the relay and did not get it: they were planned without.")
	relayFamilies    = []*admin.Family{
		metricSplices, metricReserved, metricSpliceEnds, metricRefused, metricRelayPorts, metricRelayed, metricRelayDrops, metricRebound, metricMovedCalls,
		metricCarried, metricMarked, metricLimited, metricOverQuota, metricUnrelayed,
	}
)

// relaySamples are the counters of splices, and of the limits that TURN shares.
func (n *node) relaySamples() []admin.Sample {
	var list []admin.Sample
	usage, refused := n.limits.Node()
	for _, k := range []limit.Kind{limit.Splice, limit.Allocation} {
		sent := &usage.Totals[k].Sent
		list = append(list, sample(metricCarried, sent.Bytes, k.String()), sample(metricMarked, sent.Marks, k.String()))
		sent.EachDrop(func(reason string, count uint64) {
			list = append(list, sample(metricLimited, count, k.String(), reason))
		})
		for q, count := range refused[k] {
			list = append(list, sample(metricOverQuota, count, k.String(), limit.QuotaName(q).String()))
		}
	}
	if n.relay == nil {
		return list
	}
	s, b := n.relay.Stats()
	list = append(list,
		sample(metricSplices, uint64(s.Splices)),
		sample(metricReserved, uint64(b.Reserved)),
		sample(metricRebound, s.Rebound),
		sample(metricMovedCalls, s.Moved),
		sample(metricRelayed, s.Received, "received"),
		sample(metricRelayed, s.Forwarded, "forwarded"),
		sample(metricRelayed, s.Kept, "kept"),
		sample(metricRelayed, s.Queued, "queued"),
		sample(metricRelayed, s.Unqueued, "unqueued"),
		sample(metricRelayed, s.Sent, "sent"),
		sample(metricRelayPorts, uint64(b.Ports-b.InUse), "free"),
		sample(metricRelayPorts, uint64(b.InUse), "in_use"),
		sample(metricRelayPorts, uint64(b.Shared), "shared"))
	for r, count := range s.Drops {
		list = append(list, sample(metricRelayDrops, count, splice.DropReason(r).String()))
	}
	for r, count := range s.Ends {
		list = append(list, sample(metricSpliceEnds, count, splice.EndReason(r).String()))
	}
	for r, count := range b.Refused {
		list = append(list, sample(metricRefused, count, splice.Refusal(r).String()))
	}
	return list
}
