package limit

import (
	"errors"
	"fmt"
	"math"
)

// ErrDraining refuses new pairs while the relay is about to stop. Live ones go on.
var ErrDraining = errors.New("limit: this relay takes nothing new: it is being drained")

// A QuotaName names a quota. The set is closed: each is a counter of refusals.
type QuotaName uint8

const (
	QuotaPeer        QuotaName = iota // pairs of one peer
	QuotaPrefix                       // pairs from one prefix
	QuotaTotal                        // pairs
	QuotaPeerBytes                    // bytes of one peer today
	QuotaTenantBytes                  // bytes of one tenant today
	QuotaTenant                       // pairs of one tenant
	QuotaShare                        // pairs of one peer, as a part of all that there is room for
	QuotaDrain                        // no quota: see ErrDraining
	numQuotas
)

var quotaNames = [numQuotas]string{"peer", "prefix", "total", "peer_bytes", "tenant_bytes", "tenant", "share", "drain"}

func (q QuotaName) String() string {
	if q < numQuotas {
		return quotaNames[q]
	}
	return "unknown"
}

// A QuotaError says why a pair was refused. Its text names no address and nobody's peer ID but the
// party's own, so that the party may be told.
type QuotaError struct {
	Kind  Kind
	Quota QuotaName
	Limit int64 // pairs or bytes
	Party Party // whose quota it is; zero with QuotaTotal
}

func (e *QuotaError) Error() string {
	switch e.Quota {
	case QuotaPeer:
		return fmt.Sprintf("limit: %s refused: this peer has %d already, its quota; one has to end first", e.Kind, e.Limit)
	case QuotaShare:
		return fmt.Sprintf("limit: %s refused: more than half of all are taken, and this peer has %d already, its share; one has to end first", e.Kind, e.Limit)
	case QuotaPrefix:
		return fmt.Sprintf("limit: %s refused: this peer's network has %d already, its quota; one has to end first", e.Kind, e.Limit)
	case QuotaTotal:
		return fmt.Sprintf("limit: %s refused: the relay has %d already, its quota; one has to end first", e.Kind, e.Limit)
	case QuotaPeerBytes:
		return fmt.Sprintf("limit: %s refused: this peer's quota of %d bytes a day is used up until 00:00 UTC", e.Kind, e.Limit)
	case QuotaTenant:
		return fmt.Sprintf("limit: %s refused: tenant %q has %d already, its quota; one has to end first", e.Kind, e.Party.Tenant, e.Limit)
	case QuotaTenantBytes:
		return fmt.Sprintf("limit: %s refused: tenant %q's quota of %d bytes a day is used up until 00:00 UTC", e.Kind, e.Party.Tenant, e.Limit)
	default:
		return fmt.Sprintf("limit: %s refused: %s", e.Kind, e.Quota)
	}
}

// admit decides on a pair, whose accounts are nil where there is none yet.
func (c *Controller) admit(p *Pair) error {
	if c.draining {
		c.refused[p.kind][QuotaDrain]++
		return ErrDraining
	}
	err := c.exceeded(p)
	if err == nil {
		return nil
	}
	c.refused[p.kind][err.Quota]++
	return err
}

func (c *Controller) exceeded(p *Pair) *QuotaError {
	kind, quota, today := p.kind, c.cfg.Quotas[p.kind], c.cfg.BytesPerDay
	if quota.Total > 0 && c.node.open[kind] >= quota.Total {
		return &QuotaError{Kind: kind, Quota: QuotaTotal, Limit: int64(quota.Total)}
	}
	if t := p.tenant; t != nil {
		name := p.tenantName()
		own := c.cfg.For(name)
		if own.BytesPerDay > 0 && t.today >= uint64(own.BytesPerDay) {
			return &QuotaError{kind, QuotaTenantBytes, own.BytesPerDay, Party{Tenant: name}}
		}
		if own.Pairs > 0 && t.open[kind] >= own.Pairs {
			return &QuotaError{kind, QuotaTenant, int64(own.Pairs), Party{Tenant: name}}
		}
	}
	for i, peer := range p.peers {
		party := p.Parties[i]
		if quota.Prefix > 0 && party.Prefix.IsValid() && c.prefixes[party.Prefix][kind] >= quota.Prefix {
			return &QuotaError{kind, QuotaPrefix, int64(quota.Prefix), party}
		}
		if peer == nil {
			continue
		}
		if share := c.share(kind, peer); quota.Peer == Share && peer.open[kind] >= share {
			return &QuotaError{kind, QuotaShare, int64(share), party}
		}
		if quota.Peer > 0 && peer.open[kind] >= quota.Peer {
			return &QuotaError{kind, QuotaPeer, int64(quota.Peer), party}
		}
		if today.Peer > 0 && peer.today >= uint64(today.Peer) {
			return &QuotaError{kind, QuotaPeerBytes, today.Peer, party}
		}
	}
	return nil
}

// share is how many pairs a peer may have by the rule of Share. A peer without any always gets one.
func (c *Controller) share(kind Kind, peer *account) int {
	room := c.cfg.Capacity[kind]
	if room == 0 || 2*(c.node.open[kind]+1) <= room {
		return math.MaxInt
	}
	holders := c.holders[kind]
	if peer.open[kind] == 0 {
		holders++
	}
	return max(1, room/(holders+1))
}
