package main

import (
	"pileus/configs"
	"pileus/introducer"
	"pileus/relay/limit"
	"pileus/rtmfp"
)

// sharedLimits is what bounds all sessions together, in the engine's terms.
func sharedLimits(c *configs.Config) rtmfp.SharedLimits {
	l := &c.Limits
	return rtmfp.SharedLimits{
		Memory: l.Memory.Of(availableMemory()), Sessions: l.Sessions, Share: int(l.Share.Prefix), WideShare: int(l.Share.Wide),
	}
}

// introducerLimits is what bounds clients at the node, in the introducer's terms.
func introducerLimits(c *configs.Config) *introducer.Limits {
	l := &c.Limits
	return &introducer.Limits{
		PeerShare: int(l.Share.Peer), Share: int(l.Share.Prefix), WideShare: int(l.Share.Wide), TargetShare: int(l.Share.Target),
		Introductions: l.Introductions, TargetRate: int(l.IntroductionsPerTarget), StrangerRate: int(l.Strangers),
		Names: l.Names, Watches: l.Watches, Follows: l.Follows, Memberships: l.Memberships,
		Broadcasts: l.Broadcasts, Questions: l.Questions,
		Message: int(messageLimit(c)), SenderBytes: bytesPerSecond(l.Messages.Sender), ReceiverBytes: bytesPerSecond(l.Messages.Receiver),
		NodeBytes: bytesPerSecond(l.Messages.Node),
	}
}

// messageLimit is limits.message, or what any message may have.
func messageLimit(c *configs.Config) configs.Size {
	if c.Limits.Message == 0 {
		return c.MaxMessage
	}
	return min(c.Limits.Message, c.MaxMessage)
}

// bytesPerSecond is at least one, unless there is no limit.
func bytesPerSecond(r configs.BitRate) int {
	const bits = 8
	return int((r + bits - 1) / bits)
}

// handshakeRate is limits.handshakes_per_prefix in the engine's terms.
func handshakeRate(c *configs.Config) int { return noneBelow(int(c.Limits.HandshakesPerPrefix)) }

// noneBelow says "none" as rooms do whose zero is a default: by less than 0.
func noneBelow(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// relayLimits is what bounds splices and TURN allocations, in the relay's terms.
func relayLimits(c *configs.Config) limit.Config {
	l := &c.Limits
	quota := func(q configs.RelayQuota) limit.Quota {
		peer := int(q.Peer)
		if q.Peer == configs.PeerShare {
			peer = limit.Share
		}
		return limit.Quota{Peer: peer, Prefix: q.Prefix, Total: q.Total}
	}
	cfg := limit.Config{
		Splice: limit.Rate(l.Splice),
		Peer:   limit.Rate(l.Peer),
		Tenant: limit.Rate(l.Tenant),
		Node:   limit.Rate(l.Node),
	}
	cfg.Quotas[limit.Splice] = quota(l.Splices)
	cfg.Quotas[limit.Allocation] = quota(l.Allocations)
	// There is nobody whose part could be kept for them.
	if len(c.TURN.Users) == 1 && len(c.TURN.Secrets) == 0 && l.Allocations.Peer == configs.PeerShare {
		cfg.Quotas[limit.Allocation].Peer = 0
	}
	cfg.BytesPerDay.Peer = int64(l.BytesPerDay.Peer)
	cfg.BytesPerDay.Tenant = int64(l.BytesPerDay.Tenant)
	cfg.Tenants = make(map[string]limit.TenantLimits, len(c.Tenants))
	for name, t := range c.Tenants {
		cfg.Tenants[name] = limit.TenantLimits{Rate: limit.Rate(t.Bandwidth), Pairs: t.Splices, BytesPerDay: int64(t.BytesPerDay)}
	}
	return cfg
}

// room tells the limits how many pairs and allocations there are ports for.
func (n *node) room() {
	// A port of the range serves up to 8 pairs, of which each has two.
	const pairsPerPort = 4
	n.limits.SetCapacity(limit.Splice, pairsPerPort*len(n.sockets.of(configs.UseRelay)))
	allocations := n.config.AllocationPorts().Len() * len(n.sockets.addrs())
	if files := n.sockets.files; files.limit > 0 {
		allocations = min(allocations, files.turn)
	}
	n.limits.SetCapacity(limit.Allocation, allocations)
}
