// Package limit shapes, rations and counts what a relay forwards: the splice relay and the TURN server
// share one Controller.
//
// A relayed pair is two flows, one for each direction. The relay asks a [Flow] about each packet
// (Offer); over the limit it hands the packet over (Push), and takes it back when its turn has come
// (Pop). So much is the packet path: it touches nothing but its own flow, takes no lock and, once a
// flow has warmed up, allocates nothing. Everything else is the control plane, behind the Controller's
// mutex: opening and closing pairs, quotas, totals, and every Interval the control loop (Advance), which
// measures what each flow wants and divides what the limits allow, max-min fair.
//
// Sizes are bytes of IP packets, their headers included: what the payload's owner pays for.
package limit

import (
	"cmp"
	"net/netip"
	"time"
)

// A Rate is a bandwidth in bits of IP packets per second. 0: no limit.
type Rate int64

// Interval is how often Advance is to be called.
const Interval = 50 * time.Millisecond

// A Kind of relaying has quotas and totals of its own.
type Kind uint8

const (
	Splice     Kind = iota // a pair of RTMFP peers
	Allocation             // a TURN allocation
	numKinds
)

func (k Kind) String() string { return [...]string{"splice", "allocation"}[min(k, numKinds-1)] }

// A Party is one end of a pair, as far as it is known.
type Party struct {
	Peer   string       // peer ID or user name, within the tenant; "": unknown, bounded by no peer's limit
	Tenant string       // "": none, as the far ends of TURN
	Prefix netip.Prefix // /24 or /56 it was seen in; invalid: unknown
}

// A Config is everything a Controller may be told again while it runs. Zero is no limit, each direction
// by itself: a peer's limit holds for what it sends and for what it receives.
type Config struct {
	Splice Rate // of one pair of peers, or one allocation
	Peer   Rate // of one peer, all its pairs together
	Tenant Rate // of one tenant
	Node   Rate // of everything

	Quotas [numKinds]Quota
	// Capacity is how many pairs of a kind there is room for, for quotas that are a share of it. 0: not known.
	Capacity [numKinds]int
	// BytesPerDay bounds what a peer (sent and received) and a tenant may have relayed in a UTC day.
	// A pair that is open when it is reached stays.
	BytesPerDay struct{ Peer, Tenant int64 }
	// Wall tells the time of day, which says when a UTC day begins; nil: the times that methods are given.
	// Reload keeps that of New.
	Wall func() time.Time

	// Tenants are those with limits of their own, by name. What is 0 there is as for everybody.
	Tenants map[string]TenantLimits
}

// TenantLimits are one tenant's own.
type TenantLimits struct {
	Rate        Rate  // instead of Config.Tenant
	Pairs       int   // open at once, of each kind; 0: any number
	BytesPerDay int64 // instead of Config.BytesPerDay.Tenant
}

// For are the limits in force for a tenant: its own, or else everybody's.
func (c *Config) For(tenant string) TenantLimits {
	own := c.Tenants[tenant]
	return TenantLimits{cmp.Or(own.Rate, c.Tenant), own.Pairs, cmp.Or(own.BytesPerDay, c.BytesPerDay.Tenant)}
}

// A Quota bounds how many pairs of a kind may be open. 0 is no limit.
type Quota struct{ Peer, Prefix, Total int }

// Share as Quota.Peer: while more than half of the Capacity is taken, a peer gets no more than an equal part of
// it, counted among those who have a pair and one who may come.
const Share = -1
