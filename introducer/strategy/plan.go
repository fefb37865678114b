package strategy

import (
	"net/netip"
	"time"

	"pileus/rtmfp/wire"
)

// Strategy is how two peers are to meet.
type Strategy uint8

const (
	Punch   Strategy = iota // each side's packets open its NAT for the other
	Public                  // one side takes packets from anybody
	Lan                     // they share a NAT: local addresses first
	Predict                 // ports that a NAT will choose next are named
	Relay                   // a relay is named, and nothing else
	Refuse                  // nothing is named: no relay could reach both
)

var strategyNames = [...]string{"punch", "public", "lan", "predict", "relay", "refuse"}

// NumStrategies is how many there are, for counters.
const NumStrategies = len(strategyNames)

func (s Strategy) String() string { return strategyNames[s] }

// Plan is what to tell two peers.
type Plan struct {
	Strategy Strategy
	// Sure: neither is too little known, nor did it fail lately, nor does it depend on
	// order or luck.
	Sure bool

	// Redirects are for the initiator, Replies the reply addresses for the
	// target, one FIHello each; both in order. Ordered: the order of Redirects counts;
	// they leave one by one, Spacing apart. With a relay, its addresses are appended
	// to both.
	Redirects []wire.Address
	Ordered   bool
	Replies   []wire.Address

	// HoldReplies: Replies wait for the first repeat, and Opening, whose answers
	// reach nobody, goes out in their place.
	HoldReplies bool
	Opening     []wire.Address

	Relay Joining
	Aim   Aim
	Pace  Pace

	// NeedsRelay: a relay would be used, if there was one.
	NeedsRelay bool
	Why        string
}

// Use is how a plan uses the relay.
type Use uint8

const (
	RelayNone   Use = iota
	RelayBeside     // named beside direct addresses
	RelayOnly
)

// Joining is the relay's part of a plan.
type Joining struct {
	Use Use
	// Hold is how long the relay keeps the first RHello back, so that a direct
	// one comes first.
	Hold time.Duration
	// Initiator and Target are the node's own addresses at one of which these peers
	// must be relayed, best first; none: any relay port. A peer's first is the same in
	// either part, so that two calls that cross share one splice.
	Initiator, Target []netip.AddrPort
	// Rebind: a side may change its address.
	Rebind bool
}

// Aim is the sides whose ports are predicted. Each is first sent a fresh FIHello
// with a reply address it has never sent to: the answer shows the mapping to aim
// at. Set as Side.Next, it gives the plan of a second wave.
type Aim uint8

const (
	AimInitiator Aim = 1 << iota
	AimTarget
)
