package main

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pileus/cmd/pileus/admin"
	"pileus/configs"
	"pileus/introducer"
	"pileus/introducer/strategy"
	"pileus/rtmfp"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

// askTimeout bounds how long a scrape waits for the engine.
const askTimeout = 2 * time.Second

var (
	metricInfo   = admin.Gauge("pileus_build_info", "Always 1; the label is the version.", "version")
	metricSocket = admin.Counter("pileus_socket_errors_total", "Datagrams a socket did not deliver.", "local", "what")

	metricLogLost = admin.Counter("pileus_log_lines_lost_total", "Lines of the log that are missing: nobody read fast enough, or they were not taken.", "reason")

	metricSockets = admin.Gauge("pileus_sockets", "UDP sockets, by what they are for; left_out are default ports that could not be bound.", "for", "state")

	metricSTUN = admin.Counter("pileus_stun_requests_total", "STUN Binding requests, by what came of them.", "result")

	metricPackets  = admin.Counter("pileus_packets_total", "RTMFP datagrams.", "direction")
	metricBytes    = admin.Counter("pileus_bytes_total", "UDP payload of RTMFP datagrams, in bytes.", "direction")
	metricHellos   = admin.Counter("pileus_hellos_total", "IHellos, for this node or for somebody else.", "for")
	metricOpened   = admin.Counter("pileus_sessions_opened_total", "Sessions that opened, by this node's role.", "role")
	metricMoved    = admin.Counter("pileus_sessions_moved_total", "Address changes that were verified.")
	metricSessions = admin.Gauge("pileus_sessions", "Sessions now.")
	metricUnproven = admin.Gauge("pileus_sessions_unproven", "Sessions now in which nothing has decrypted yet.")
	metricEnded    = admin.Counter("pileus_sessions_ended_total", "Sessions that the node ended by itself, by reason: they held most memory, their clients did not read, they were unused and gave way to others, or a newer session of the same endpoint was proven.", "reason")
	metricMemory   = admin.Gauge("pileus_memory_bytes", "Memory held for all sessions, and limits.memory; a limit of 0 is none.", "what")
	metricPrefixes = admin.Gauge("pileus_session_prefixes", "Prefixes and wide prefixes that sessions are from, now.")
	metricKeyings  = admin.Gauge("pileus_keyings_waiting", "Handshakes that wait for public-key work; 4096 at most.")
	metricDrops    = admin.Counter("pileus_drops_total", "Datagrams and chunks without effect, by reason.", "reason")

	metricMessages     = admin.Counter("pileus_messages_total", "Messages on NetConnections, those dropped included.")
	metricCommands     = admin.Counter("pileus_commands_total", "Commands on NetConnections that were understood.")
	metricMessageDrops = admin.Counter("pileus_message_drops_total", "Messages and flows without effect, by reason.", "reason")

	metricFragments = admin.Counter("pileus_fragments_total", "Pieces of messages in flows, by what happened to them.", "what")
	metricFlowDrops = admin.Counter("pileus_flow_drops_total", "Flow chunks without effect, by reason.", "reason")

	metricPeers       = admin.Gauge("pileus_peers", "Peers that can be found now.")
	metricConnects    = admin.Counter("pileus_connects_total", "Clients that connected; unproven: with a certificate that anybody could show, so they cannot be found.", "identity")
	metricPeerInfo    = admin.Counter("pileus_set_peer_info_total", "Lists of addresses that peers reported about themselves.")
	metricIntroduced  = admin.Counter("pileus_introductions_total", "Introductions: the initiator and the target were told of each other.")
	metricUnwatched   = admin.Counter("pileus_introductions_unwatched_total", "Introductions that were too many at once to be repeated and watched: both were told once.")
	metricHeld        = admin.Counter("pileus_introductions_held_total", "Introductions whose first answer waited for probes that were under way; rushed: they took too long.", "until")
	metricAnew        = admin.Counter("pileus_introductions_decided_anew_total", "Plans that took the place of others, as more was known of a pair or it asked again.")
	metricUnanswered  = admin.Counter("pileus_hellos_unanswered_total", "IHellos for somebody else that got silence, by reason.", "reason")
	metricPlans       = admin.Counter("pileus_introduction_plans_total", "Introductions planned, by strategy.", "strategy")
	metricOutcomes    = admin.Counter("pileus_introduction_outcomes_total", "What became of introductions, as far as a node can know; one may count twice, as quiet and then as reported.", "strategy", "initiator", "target", "outcome")
	metricCalls       = admin.Counter("pileus_calls_total", "Calls of presence and introduction commands.", "result")
	metricNames       = admin.Gauge("pileus_names", "Names that peers hold now.")
	metricWatches     = admin.Gauge("pileus_name_watches", "Names that peers watch now, each watcher counted.")
	metricTold        = admin.Counter("pileus_presence_events_total", "Events to those who watch a name; lost: their queue was full.", "result")
	collectedFamilies = []*admin.Family{
		metricInfo, metricLogLost, metricSocket, metricSockets, metricSTUN,
		metricTURNOpen, metricTURNOpened, metricTURNStreams, metricTURNMax, metricTURNRequests, metricTURNDrops, metricTURNFlaws, metricTURNEngine,
		metricPackets, metricBytes, metricHellos, metricOpened, metricMoved, metricSessions, metricUnproven, metricEnded, metricMemory, metricPrefixes, metricKeyings, metricDrops,
		metricMessages, metricCommands, metricMessageDrops, metricFragments, metricFlowDrops,
		metricPeers, metricConnects, metricPeerInfo, metricIntroduced, metricUnwatched, metricHeld, metricAnew, metricUnanswered,
		metricVerdicts, metricHookFailures, metricEvents, metricEventsWaiting,
		metricTurnedAway, metricToCores, metricCoresRefused, metricNeighbors, metricGroupsRefused, metricPassed, metricNotPassed, metricSpreading, metricShared, metricSharedRefused,
		metricPlans, metricOutcomes, metricCalls, metricNames, metricWatches, metricTold,
	}
)

// collector is what Prometheus sees of the node.
func (n *node) collector() prometheus.Collector {
	return admin.NewCollector(n.samples, slices.Concat(collectedFamilies, relayFamilies, tenantFamilies)...)
}

// samples copies the counters on the engine's goroutine and names them on the
// caller's.
func (n *node) samples() []admin.Sample {
	type counters struct {
		engine rtmfp.Stats
		flows  flow.Stats
		conns  netconn.Stats
		intro  introducer.Stats
		ends   map[introducer.OutcomeKey]uint64
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	copied := make(chan counters, 1)
	if err := n.ask(ctx, func(e *rtmfp.Engine) {
		copied <- counters{e.Stats(), e.FlowStats(), n.intro.NetConnStats(), n.intro.Stats(), n.intro.Outcomes()}
	}); err != nil {
		return n.socketSamples()
	}
	c := <-copied
	list := slices.Concat(n.socketSamples(), n.hookSamples(), companySamples(&c.intro))
	list = append(list,
		sample(metricPackets, c.engine.ReceivedPackets, "in"),
		sample(metricPackets, c.engine.SentPackets, "out"),
		sample(metricBytes, c.engine.ReceivedBytes, "in"),
		sample(metricBytes, c.engine.SentBytes, "out"),
		sample(metricHellos, c.engine.Hellos, "us"),
		sample(metricHellos, c.engine.ForeignHellos, "others"),
		sample(metricOpened, c.engine.Accepted, "responder"),
		sample(metricOpened, c.engine.Initiated, "initiator"),
		sample(metricMoved, c.engine.Moved),
		sample(metricSessions, uint64(c.engine.Sessions)),
		sample(metricUnproven, uint64(c.engine.Unproven)),
		sample(metricEnded, c.engine.Relieved, "memory"),
		sample(metricEnded, c.conns.Unread, "unread"),
		sample(metricEnded, c.engine.GaveWay, "gave_way"),
		sample(metricEnded, c.engine.Overridden, "overridden"),
		sample(metricMemory, uint64(c.engine.Memory), "held"),
		sample(metricMemory, uint64(c.engine.MemoryLimit), "limit"),
		sample(metricPrefixes, uint64(c.engine.Prefixes)),
		sample(metricKeyings, uint64(c.engine.Waiting)),
		sample(metricMessages, c.conns.Messages),
		sample(metricFragments, c.flows.FragmentsSent, "sent"),
		sample(metricFragments, c.flows.FragmentsResent, "resent"),
		sample(metricFragments, c.flows.FragmentsLost, "lost"),
		sample(metricCommands, c.conns.Commands),
		sample(metricPeers, uint64(c.intro.Peers)),
		sample(metricConnects, c.intro.Connected-c.intro.Unproven, "proven"),
		sample(metricConnects, c.intro.Unproven, "unproven"),
		sample(metricPeerInfo, c.intro.SetPeerInfo),
		sample(metricIntroduced, c.intro.Introduced),
		sample(metricUnwatched, c.intro.Unwatched),
		sample(metricHeld, c.intro.Held-c.intro.Rushed, "known"),
		sample(metricHeld, c.intro.Rushed, "rushed"),
		sample(metricAnew, c.intro.DecidedAnew),
		sample(metricUnrelayed, c.intro.RelayRefused),
		sample(metricUnanswered, c.intro.Unknown, "unknown_peer"),
		sample(metricUnanswered, c.intro.Stranger, "stranger"),
		sample(metricUnanswered, c.intro.Limited-c.intro.TargetLimited, "limit"),
		sample(metricUnanswered, c.intro.TargetLimited, "target"),
		sample(metricUnanswered, c.intro.OtherSelector, "no_fingerprint"),
		sample(metricUnanswered, c.intro.Denied, "denied"),
		sample(metricCalls, c.intro.Calls-c.intro.CallsFailed, "done"),
		sample(metricCalls, c.intro.CallsFailed, "refused"),
		sample(metricNames, uint64(c.intro.Names)),
		sample(metricWatches, uint64(c.intro.Watches)),
		sample(metricTold, c.intro.PresenceTold, "sent"),
		sample(metricTold, c.intro.PresenceLost, "lost"),
	)
	for s, count := range c.intro.Strategies {
		list = append(list, sample(metricPlans, count, strategy.Strategy(s).String()))
	}
	for k, count := range c.ends {
		list = append(list, sample(metricOutcomes, count, k.Strategy.String(), k.Initiator.String(), k.Target.String(), k.Outcome.String()))
	}
	c.engine.EachDrop(func(reason string, count uint64) {
		list = append(list, sample(metricDrops, count, reason))
	})
	for _, r := range netconn.DropReasons() {
		list = append(list, sample(metricMessageDrops, c.conns.Drops[r], r.String()))
	}
	for r := range flow.DropReasons {
		list = append(list, sample(metricFlowDrops, c.flows.Dropped[r], flow.DropReason(r).String()))
	}
	return list
}

func sample(f *admin.Family, n uint64, labels ...string) admin.Sample {
	return admin.Sample{Family: f, Value: float64(n), Labels: labels}
}

// socketSamples need no engine: what sockets count is shown even if it hangs.
func (n *node) socketSamples() []admin.Sample {
	list := []admin.Sample{sample(metricInfo, 1, version())}
	if lost := n.operator.logs.lost; lost != nil {
		full, failed := lost()
		list = append(list, sample(metricLogLost, full, "full"), sample(metricLogLost, failed, "failed"))
	}
	list = append(list, n.turn.samples()...)
	list = append(list, n.relaySamples()...)
	list = append(list, n.tenantSamples()...)
	stun := n.stun.responder.counts()
	list = append(list,
		sample(metricSTUN, stun.answered, "answered"),
		sample(metricSTUN, stun.limited, "limited"),
		sample(metricSTUN, stun.malformed, "malformed"))
	leftOut := n.sockets.leftOut()
	for u := range configs.UseAllocation {
		open := n.sockets.of(u)
		list = append(list,
			sample(metricSockets, uint64(len(open)), u.String(), "open"),
			sample(metricSockets, uint64(leftOut[u]), u.String(), "left_out"))
		var all udp.Stats
		for _, p := range open {
			s := p.packets.Stats()
			if u == configs.UseRelay { // too many to tell one by one
				all.ReadErrors, all.WriteErrors, all.Oversize = all.ReadErrors+s.ReadErrors, all.WriteErrors+s.WriteErrors, all.Oversize+s.Oversize
			} else {
				list = append(list, socketErrors(p.addr().String(), s)...)
			}
		}
		if u == configs.UseRelay {
			list = append(list, socketErrors("relay", all)...)
		}
	}
	return list
}

func socketErrors(local string, s udp.Stats) []admin.Sample {
	return []admin.Sample{
		sample(metricSocket, s.ReadErrors, local, "read"),
		sample(metricSocket, s.WriteErrors, local, "write"),
		sample(metricSocket, s.Oversize, local, "oversize"),
	}
}
