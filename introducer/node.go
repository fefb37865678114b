package introducer

import (
	"log/slog"
	"net/netip"
	"time"

	"pileus/introducer/group"
	"pileus/introducer/pairing"
	"pileus/introducer/strategy"
	"pileus/introducer/tenant"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/share"
	"pileus/rtmfp/udp"
)

// Config says how a node introduces. The zero value is the default.
type Config struct {
	// Anonymous answers also initiators that hold no session here. Anybody can
	// then learn the addresses of a peer whose fingerprint it knows.
	Anonymous bool
	// MaxPending is how many peers one initiator may be looking for at a time;
	// zero is 32, negative any number.
	MaxPending int
	// Probes are this node's sockets that hold no session, to find out by what
	// the NAT of each client does (two ports at least on each of two addresses
	// tell most); none: clients are not probed. Routes are those at which a
	// client could be relayed that reaches nothing but its main socket.
	Probes, Routes []netip.AddrPort
	// Alternates are those of the addresses of Probes and Routes that may be used
	// for any client, whichever address it holds its session at. (Of a machine's
	// other addresses nobody knows whether they lead to the same clients.)
	Alternates []netip.Addr
	// Candidates are addresses of Probes and Routes that may be alternates, though
	// nobody named them: clients show whether they are. Judged, if not nil, is told
	// when that is known, with the outside name, on the engine's goroutine; it does not
	// block.
	Candidates []netip.Addr
	Judged     func(outside netip.Addr, t Trust)
	// NameArg is which optional argument of connect, counted from 1, is the name
	// that the client is to be known by; zero: none.
	NameArg int
	// ProbeRate is how many probes the node sends a second; zero is 2000.
	ProbeRate int
	// ServerKeepalive and PeerKeepalive are the silences after which clients
	// are told to ping the node and each other, until it is known what fits their
	// NATs, or always if FixedKeepalive; zero is 15 s and 10 s.
	ServerKeepalive, PeerKeepalive time.Duration
	FixedKeepalive                 bool
	// Unread bounds what waits for a client that does not read; see
	// netconn.ServerConfig.
	Unread int
	// Limits bound what clients make the node keep and do; nil is DefaultLimits.
	Limits *Limits
	// Relay carries what cannot meet; nil: nothing does. It reaches clients at its
	// own ports, and those of a narrow firewall at the main ports and Routes.
	Relay Relay
	// NoRelay is why Relay is nil, for reasons that people read: "relay.ports is empty".
	NoRelay string
	// Names are the outside names of this machine's addresses: a peer that runs
	// here is named to others by them.
	Names udp.Names
	// Cores, if not nil, puts the node in front of core servers.
	Cores *CoresConfig
	// Tenants tell clients apart by developer keys; nil: all are the default
	// tenant's.
	Tenants *tenant.Tenants
	// Ask, if not nil, decides who may connect and be introduced. It does not
	// block; done is to be called once, on the engine's goroutine, now or later.
	// VerdictLife is how long a verdict over a pair holds; zero is a minute.
	Ask         func(q Question, done func(Verdict))
	VerdictLife time.Duration
	// Wall tells the time of day, by which tokens go; nil is the engine's time.
	Wall func() time.Time
	// Observe, if not nil, is told what happens, on the engine's goroutine. It
	// does not block.
	Observe func(Event)
	// Log takes the named events of sessions that proved their key; nil is
	// slog.Default().
	Log *slog.Logger
}

const (
	defaultMaxPending      = 32
	defaultServerKeepalive = 15 * time.Second
	defaultPeerKeepalive   = 10 * time.Second

	// introductionRate and introductionBurst bound what one initiator can make us send to
	// peers, and one prefix of those without a session while there are many.
	introductionRate  = 100
	introductionBurst = 200
)

// Stats counts what a node did. All but Peers, Names and Watches only grow.
type Stats struct {
	Connected     uint64
	SetPeerInfo   uint64
	Probes        uint64 // packets sent to find out about NATs
	Classified    uint64 // rounds of them that ended
	AskedAgain    uint64 // with the same tag, which is answered again
	Strategies    [strategy.NumStrategies]uint64
	Denied        uint64 // IHello for a pair that Config.Ask refused
	Refused       uint64 // connects refused: by Config.Ask, or while draining
	CoresRefused  uint64 // sessions of core servers without the right password, or too many
	ToCores       uint64 // IHellos sent on to a core server
	NoCore        uint64 // IHellos for a core server when there was none
	Introduced    uint64 // Redirect and FIHello sent
	Held          uint64 // of these, after probes that were under way
	Rushed        uint64 // of these, before the probes had told what mattered
	DecidedAnew   uint64 // another plan for two that had one
	Unwatched     uint64 // of these, too many at once: sent once, and no conclusions drawn
	Crowded       uint64 // of these, too many to one peer from one network
	RelayRefused  uint64 // introductions that wanted the relay and did not get it
	Unproven      uint64 // connected with a certificate that anybody could use
	Unknown       uint64 // IHello for a peer that is not here
	Stranger      uint64 // IHello from an address without a session
	Limited       uint64 // IHello above a limit
	TargetLimited uint64 // of these, too many for one peer
	OtherSelector uint64 // IHello that asks by other means than a fingerprint
	Peers         int    // in the directory now

	Neighbors    uint64 // members of groups told of others
	GroupRefused [NumGroupRefusals]uint64
	Messages     uint64 // passed on between clients, one for each receiver
	// MessageRefused are those that were not, by why: a broadcast counts once if it was
	// refused, and once for each receiver who did not get it.
	MessageRefused [NumMessageRefusals]uint64
	Spreading      int // broadcasts and events that are on their way to many, now
	Shared         [NumSharedThings]SharedStats

	Calls           uint64 // of commands that are no part of the protocol, known ones only
	CallsFailed     uint64
	NamesRegistered uint64
	PresenceTold    uint64 // events to those who watch a name
	PresenceLost    uint64 // not sent, since a queue was full
	Names           int    // held now
	Watches         int    // of names, now
}

// Node is an [rtmfp.Handler] that accepts NetConnections and introduces their
// clients to each other.
type Node struct {
	cfg        Config
	limits     Limits
	log        eventLog
	server     *netconn.Server
	ledger     *share.Ledger                // of what all clients share
	retired    [NumSharedThings]SharedStats // of tenants that are forgotten: what was refused
	peers      directory
	everybody  audience[*Peer] // in the directory
	rooms      map[roomKey]*audience[*Peer]
	followers  map[followed]*audience[*Peer]
	tenants    map[string]*realm
	sent       share.Meter // bytes that clients make the node send each other
	spreads    spreader    // of messages
	reviews    spreader    // of introductions
	anonymous  *udp.Limiter
	strangers  udp.Bucket // what all prefixes of anonymous have
	line       probeLine  // of clients that are here
	doorLine   probeLine  // of others
	evidence   evidence
	candidates candidates
	running    map[introKey]*introduction
	spare      introduction // see once
	pairs      pairs
	outcomes   map[OutcomeKey]uint64
	relayings  map[uint64]relaying  // splices, by ID
	relayed    map[flash.PeerID]int // splices of a peer
	members    map[string]int       // clients by tenant
	gate       gate
	asking     asking
	timelines  map[flash.PeerID]*watched
	pool       *pairing.Pool
	groups     group.Table[*Peer]
	healing    *rtmfp.Timer
	draining   bool
	stats      Stats
	timer      *rtmfp.Timer
}

func (c *Config) fill() {
	if c.MaxPending == 0 {
		c.MaxPending = defaultMaxPending
	}
	if c.ServerKeepalive == 0 {
		c.ServerKeepalive = defaultServerKeepalive
	}
	if c.PeerKeepalive == 0 {
		c.PeerKeepalive = defaultPeerKeepalive
	}
	if c.ProbeRate == 0 {
		c.ProbeRate = defaultProbeRate
	}
	if c.VerdictLife == 0 {
		c.VerdictLife = defaultVerdictLife
	}
	if c.Limits == nil {
		l := DefaultLimits()
		c.Limits = &l
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

// New makes a node.
func New(c Config) *Node {
	c.fill()
	n := &Node{
		cfg: c, limits: *c.Limits, log: eventLog{log: c.Log}, ledger: share.NewLedger(nodeThings),
		peers: make(directory), rooms: make(map[roomKey]*audience[*Peer]), followers: make(map[followed]*audience[*Peer]),
		tenants: make(map[string]*realm), running: make(map[introKey]*introduction),
		pairs:     newPairs(),
		evidence:  newEvidence(),
		gate:      newGate(),
		pool:      pairing.NewPool(),
		outcomes:  make(map[OutcomeKey]uint64),
		relayings: make(map[uint64]relaying), relayed: make(map[flash.PeerID]int),
		members: make(map[string]int), timelines: make(map[flash.PeerID]*watched),
		anonymous: udp.NewLimiter(introductionRate, introductionBurst),
	}
	n.doorLine = probeLine{part: doorPart, whole: &n.line}
	n.setShares()
	n.candidates.set(n.outsideOf(c.Candidates))
	n.server = netconn.NewServer(netconn.ServerConfig{Unread: c.Unread}, n.welcome)
	return n
}

// Stats is a copy of the counters.
func (n *Node) Stats() Stats {
	s := n.stats
	s.Peers = len(n.peers)
	for _, r := range n.tenants {
		s.Names += r.holders.Len()
		s.Watches += int(r.ledger.Whole(SharedWatches.ofTenant()).Held())
	}
	s.Shared = n.shared()
	s.Spreading = n.spreads.queue.Len()
	return s
}

// NetConnStats are the counters of the node's NetConnections.
func (n *Node) NetConnStats() netconn.Stats { return n.server.Stats() }

// arm keeps one timer running for the server's deadlines.
func (n *Node) arm(e *rtmfp.Engine) {
	if n.timer != nil {
		return
	}
	at := n.server.Deadline()
	if at.IsZero() {
		return
	}
	n.timer = e.After(at.Sub(e.Now()), func() {
		n.timer = nil
		n.server.Advance(e.Now())
		n.arm(e)
	})
}
