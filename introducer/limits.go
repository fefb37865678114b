package introducer

import (
	"pileus/rtmfp/flow"
	"pileus/rtmfp/share"
)

// Limits bound what clients make a node keep and do; 0 is none, in each. What several
// share is divided by package share: nobody is refused for others while half of it is left.
type Limits struct {
	// Shares, in percent, of everything below that many share: of one peer, of one prefix
	// (/24 or /56), of one wide prefix (/16 or /32), and of those who want to meet one peer.
	PeerShare, Share, WideShare, TargetShare int

	// Introductions that are repeated and watched at a time. Above it, or above a share,
	// both sides are told once, by what is known of them, and that is all.
	Introductions int
	// TargetRate is the questions for one peer a second, after a burst of twenty times that.
	TargetRate int
	// StrangerRate is the IHellos a second, after a burst of two seconds, of those without a
	// session that are answered: in front of cores, and with Config.Anonymous.
	StrangerRate int

	Names       int // that all clients of one tenant hold
	Watches     int // of names, of all clients of one tenant
	Follows     int // of peers, whose end others want to hear of
	Memberships int // of clients in NetGroups
	Broadcasts  int // that are on their way to their receivers at a time
	Questions   int // to who decides beside the node, at a time; a long connect counts for each KiB

	// Message is how large a message between clients may be, in bytes, as it is written
	// out to who gets it.
	Message int
	// Bytes a second of such messages, IP packets, after a burst of four seconds: that one
	// client makes the node send, that others make it send to one client, and in all.
	SenderBytes, ReceiverBytes, NodeBytes int
}

// DefaultLimits are those of a Config without any.
func DefaultLimits() Limits {
	return Limits{
		PeerShare: 1, Share: 10, WideShare: 50, TargetShare: 25,
		Introductions: 1 << 13, TargetRate: 500, StrangerRate: 10_000,
		Names: 1 << 16, Watches: 1 << 18, Follows: 1 << 18, Memberships: 1 << 18,
		Broadcasts: 1 << 8, Questions: 1 << 13,
		Message: 16 << 10, SenderBytes: 4e6 / 8, ReceiverBytes: 4e6 / 8, NodeBytes: 100e6 / 8,
	}
}

// SharedThing is something that many share: a label of metrics.
type SharedThing uint8

// The things: first what all clients of the node share, then what those of one tenant
// do. The set is closed.
const (
	SharedIntroductions SharedThing = iota
	SharedFollows
	SharedMemberships
	SharedBroadcasts
	SharedQuestions
	SharedTags
	SharedEstates
	SharedNames
	SharedWatches
	SharedGroups
	NumSharedThings

	nodeThings   = int(SharedNames)
	tenantThings = int(NumSharedThings - SharedNames)
)

var sharedThings = [NumSharedThings]string{
	"introductions", "follows", "memberships", "broadcasts", "questions", "tags", "estates", "names", "watches", "groups",
}

// String is the thing as a label of metrics.
func (t SharedThing) String() string { return sharedThings[t] }

// ofTenant is the number of a thing in the ledger of a tenant.
func (t SharedThing) ofTenant() int { return int(t - SharedNames) }

// maxTags bounds the tags that are awaited for clients: most of what an engine awaits.
const maxTags = 1 << 15

// setShares puts limits in force.
func (n *Node) setShares() {
	l := &n.limits
	for t, total := range [nodeThings]int{l.Introductions, l.Follows, l.Memberships, l.Broadcasts, l.Questions, maxTags, maxEstates} {
		n.ledger.Set(t, l.of(total))
	}
	for _, r := range n.tenants {
		n.setTenantShares(r)
	}
	n.pairs.cache.SetShares(l.Share, l.WideShare)
	n.evidence.cache.SetShares(l.Share, l.WideShare)
	n.gate.cache.SetShares(l.Share, l.WideShare)
	n.pool.SetShares(l.Share, l.WideShare)
}

func (n *Node) setTenantShares(r *realm) {
	l, groups := &n.limits, 0
	if n.cfg.Tenants != nil {
		groups = n.cfg.Tenants.Named(r.name).MaxGroups
	}
	r.ledger.Set(SharedNames.ofTenant(), l.of(l.Names))
	r.ledger.Set(SharedWatches.ofTenant(), l.of(l.Watches))
	// An operator's quota, of tens perhaps, that one office may need all of.
	r.ledger.Set(SharedGroups.ofTenant(), share.Limits{Total: int64(groups)})
}

// of is so many of a thing, shared.
func (l *Limits) of(total int) share.Limits {
	return share.Limits{Total: int64(total), Peer: l.PeerShare, Prefix: l.Share, Wide: l.WideShare}
}

// rate is so much a second, shared, after a burst of so many seconds.
func (l *Limits) rate(perSecond, burst int) share.Rate {
	return share.Rate{
		PerSecond: float64(perSecond), Burst: float64(perSecond) * float64(burst),
		Peer: l.PeerShare, Prefix: l.Share, Wide: l.WideShare,
	}
}

const (
	messageBurst = 4  // seconds of a rate of bytes that may go at once
	targetBurst  = 20 // seconds of TargetRate
	// strangerBurst is the seconds of StrangerRate that may come at once.
	strangerBurst = 2
)

func (n *Node) senderRate() share.Rate { return n.limits.rate(n.limits.SenderBytes, messageBurst) }

func (n *Node) receiverRate() share.Rate { return n.limits.rate(n.limits.ReceiverBytes, messageBurst) }
func (n *Node) nodeRate() share.Rate     { return n.limits.rate(n.limits.NodeBytes, messageBurst) }
func (n *Node) targetRate() share.Rate   { return n.limits.rate(n.limits.TargetRate, targetBurst) }

const (
	// packetOverhead is what a packet costs beside what it carries, in bytes: headers of
	// IP, UDP and RTMFP, and what is around a fragment.
	packetOverhead = 80
	// fragment is what one packet carries of a message, in bytes.
	fragment = 1100
)

// cost is the bytes that a message makes the node send.
func cost(message int) int { return message + packetOverhead*(1+message/fragment) }

// SharedStats is how much of a thing is in use; of a tenant's things, by the tenant that
// has used most of its own.
type SharedStats struct {
	Held, Limit        int64
	OverShare, OverAll uint64 // times that somebody was refused one
}

// note adds what a ledger says of a thing.
func (s *SharedStats) note(l *share.Ledger, thing int) {
	w := l.Whole(thing)
	if s.Limit == 0 || w.Held()*s.Limit >= s.Held*w.Limit() {
		s.Held, s.Limit = w.Held(), w.Limit()
	}
	s.OverShare += l.Refused(thing, flow.OverShare)
	s.OverAll += l.Refused(thing, flow.OverLimit)
}

// shared is what SharedStats says of each thing.
func (n *Node) shared() (list [NumSharedThings]SharedStats) {
	list = n.retired
	for t := range SharedThing(nodeThings) {
		list[t].note(n.ledger, int(t))
	}
	for t := SharedNames; t < NumSharedThings; t++ {
		list[t].Held, list[t].Limit = 0, 0
		for _, r := range n.tenants {
			list[t].note(r.ledger, t.ofTenant())
		}
	}
	return list
}
