package netconn

import "time"

// What one far end can make us keep. Messages waiting in flows are bounded by
// package flow.
const (
	// MaxStreamID is the largest RTMP stream ID: 24 bits (RFC 7425 5.1).
	MaxStreamID = 1<<24 - 1

	// DefaultMaxCommand is the longest command taken, in bytes. Longer ones are
	// dropped unread.
	DefaultMaxCommand = 64 << 10

	// DefaultUnread is what waits for one client that does not read, in bytes of
	// memory: two of the longest messages. A client that leaves so much unread for
	// unreadTimeout does not read at all; on a line of 64 kbit/s half of it is through
	// by then.
	DefaultUnread = 128 << 10
	unreadTimeout = 10 * time.Second

	// sideCapacity is the receive buffer of a client's flows beside its control flow,
	// in bytes: what comes there is refused with few words.
	sideCapacity = 4 << 10

	// maxCalls is how many calls may wait for their answers, per connection.
	maxCalls = 64

	// maxConnFlows is how many flows a client may have open to a server.
	maxConnFlows = 64

	// maxRefusals is how often a connection is told that there are no streams
	// here: each time takes a flow, which lingers for two minutes.
	maxRefusals = 32

	// connectTimeout is the time a session has for its connect to be accepted;
	// closeTimeout that of the last messages of a connection to be acknowledged.
	connectTimeout = 60 * time.Second
	closeTimeout   = 10 * time.Second

	// maxPeerAddresses is how many addresses are taken from a setPeerInfo, and
	// maxPeerArguments how many arguments are looked at.
	maxPeerAddresses = 32
	maxPeerArguments = 256

	// firstPeerStream is the least stream ID of a peer-to-peer NetStream that
	// some clients open towards the server by mistake.
	firstPeerStream = 2000000

	// maxBarriers is how many flow synchronisations may be incomplete at once,
	// per association tree. A flow waits at one, so it takes as many flows.
	maxBarriers = 16

	// maxPeers is how many peers a client has sessions with or opens them to.
	maxPeers = 256

	// maxSubscriptions is how many streams are played from one peer, and
	// maxSubscribers how many one peer may play from us.
	maxSubscriptions = 32
	maxSubscribers   = 32

	// mediaCapacity is the receive buffer of a flow with a stream's messages, in
	// bytes: 40 Mbit/s at a round trip of 200 ms.
	mediaCapacity = 1 << 20

	// maxPublications is how many streams a client publishes at once.
	maxPublications = 64

	// maxStreamFlows is how many flows a publisher may use for one stream.
	maxStreamFlows = 16

	// maxInit is the longest stream header (metadata or codec configuration)
	// that is kept for later subscribers, in bytes.
	maxInit = 64 << 10

	// minKeepalive is the floor under advised keepalive periods: "The minimum
	// keepalive timer periods SHOULD be at least five seconds" (RFC 7425 5.3.4).
	minKeepalive = 5 * time.Second
)
