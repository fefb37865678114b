package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"pileus/cmd/pileus/admin"
	"pileus/cmd/pileus/api"
	"pileus/relay/limit"
)

var (
	metricTenantPairs   = admin.Gauge("pileus_tenant_splices", "Pairs of a configured tenant's peers that are relayed now.", "tenant")
	metricTenantOpened  = admin.Counter("pileus_tenant_splices_opened_total", "Pairs of a tenant's peers that were relayed.", "tenant")
	metricTenantSeconds = admin.Counter("pileus_tenant_splice_seconds_total", "How long a tenant's pairs were relayed that have ended, summed.", "tenant")
	metricTenantBytes   = admin.Counter("pileus_tenant_relay_bytes_total", "IP bytes forwarded for a tenant.", "tenant")
	metricTenantPackets = admin.Counter("pileus_tenant_relay_packets_total", "Packets forwarded for a tenant.", "tenant")
	metricTenantMarks   = admin.Counter("pileus_tenant_relay_marks_total", "Packets of a tenant marked with Congestion Experienced, over a limit.", "tenant")
	metricTenantDrops   = admin.Counter("pileus_tenant_relay_drops_total", "Packets of a tenant dropped over a limit.", "tenant")
	metricTenantToday   = admin.Gauge("pileus_tenant_relay_bytes_today", "IP bytes forwarded for a tenant in this UTC day.", "tenant")
	metricTenantLimit   = admin.Gauge("pileus_tenant_relay_limit", "Limits in force for a tenant, by what they bound; 0: none.", "tenant", "of")
	tenantFamilies      = []*admin.Family{
		metricTenantPairs, metricTenantOpened, metricTenantSeconds, metricTenantBytes, metricTenantPackets,
		metricTenantMarks, metricTenantDrops, metricTenantToday, metricTenantLimit,
	}
)

// Tenants implements api.Node. Users of TURN belong to none.
func (o *operator) Tenants(context.Context) ([]api.Tenant, error) { return o.accounts(), nil }

// accounts are those of the tenants that are configured now, by name: nobody else
// chooses names that are shown or counted.
func (o *operator) accounts() []api.Tenant {
	cfg := o.current.Load()
	limits, used := relayLimits(cfg), o.limits.Tenants()
	list := make([]api.Tenant, 0, len(cfg.Tenants))
	for _, name := range slices.Sorted(maps.Keys(cfg.Tenants)) {
		own, usage := limits.For(name), used[name]
		splices := &usage.Totals[limit.Splice]
		list = append(list, api.Tenant{
			Tenant: name, Pairs: usage.Open[limit.Splice],
			MaxPairs: own.Pairs, MaxRate: int64(own.Rate), BytesToday: usage.Today, BytesPerDay: own.BytesPerDay,
			Opened: splices.Pairs, Seconds: splices.Duration.Seconds(),
			Bytes: splices.Sent.Bytes, Packets: splices.Sent.Packets, Marks: splices.Sent.Marks, Drops: splices.Sent.Dropped(),
		})
	}
	return list
}

func (n *node) tenantSamples() []admin.Sample {
	const perTenant = 11
	accounts := n.operator.accounts()
	list := make([]admin.Sample, 0, perTenant*len(accounts))
	for _, t := range accounts {
		list = append(list,
			sample(metricTenantPairs, uint64(t.Pairs), t.Tenant),
			sample(metricTenantOpened, t.Opened, t.Tenant),
			admin.Sample{Family: metricTenantSeconds, Value: t.Seconds, Labels: []string{t.Tenant}},
			sample(metricTenantBytes, t.Bytes, t.Tenant),
			sample(metricTenantPackets, t.Packets, t.Tenant),
			sample(metricTenantMarks, t.Marks, t.Tenant),
			sample(metricTenantDrops, t.Drops, t.Tenant),
			sample(metricTenantToday, t.BytesToday, t.Tenant),
			sample(metricTenantLimit, uint64(t.MaxPairs), t.Tenant, "splices"),
			sample(metricTenantLimit, uint64(t.MaxRate), t.Tenant, "bits_per_second"),
			sample(metricTenantLimit, uint64(t.BytesPerDay), t.Tenant, "bytes_per_day"))
	}
	return list
}

func tenantsCommand() *cli.Command {
	return remoteCommand("tenants", "tell what a running node relays for each tenant, and up to which limits", "/tenants?limit=1000",
		func(w io.Writer, l api.Tenants) {
			fmt.Fprintln(w, "TENANT\tPAIRS\tOF\tBYTES TODAY\tOF\tBYTES\tDROPPED\tLIMIT bit/s")
			for _, t := range l.Tenants {
				fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%d\t%d\t%s\n", t.Tenant, t.Pairs, orNone(int64(t.MaxPairs)),
					t.BytesToday, orNone(t.BytesPerDay), t.Bytes, t.Drops, orNone(t.MaxRate))
			}
		})
}

// orNone is a limit for people.
func orNone(n int64) string {
	if n == 0 {
		return "any"
	}
	return fmt.Sprint(n)
}
