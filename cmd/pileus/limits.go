package main

import (
	"pileus/configs"
	"pileus/relay/limit"
)

// relayLimits is what bounds splices and TURN allocations, in the relay's terms.
func relayLimits(c *configs.Config) limit.Config {
	l := &c.Limits
	quota := func(q configs.RelayQuota) limit.Quota {
		return limit.Quota{Peer: q.Peer, Prefix: q.Prefix, Total: q.Total}
	}
	cfg := limit.Config{
		Splice: limit.Rate(l.Splice),
		Peer:   limit.Rate(l.Peer),
		Tenant: limit.Rate(l.Tenant),
		Node:   limit.Rate(l.Node),
	}
	cfg.Quotas[limit.Splice] = quota(l.Splices)
	cfg.Quotas[limit.Allocation] = quota(l.Allocations)
	cfg.BytesPerDay.Peer = int64(l.BytesPerDay.Peer)
	cfg.BytesPerDay.Tenant = int64(l.BytesPerDay.Tenant)
	cfg.Tenants = make(map[string]limit.TenantLimits, len(c.Tenants))
	for name, t := range c.Tenants {
		cfg.Tenants[name] = limit.TenantLimits{Rate: limit.Rate(t.Bandwidth), Pairs: t.Splices, BytesPerDay: int64(t.BytesPerDay)}
	}
	return cfg
}
