package turn

import "time"

const (
	// maxDatagram (bytes) is the longest message of a client and the longest payload of a peer: pion
	// reads both into 1,600 bytes and cannot tell a longer one from one of that length.
	maxDatagram = 1599
	// readBatch is how many datagrams one call may bring from a UDP socket: 50 KiB for each socket.
	readBatch = 32
	// relayBuffer (bytes) is asked of the kernel for what a peer sends in a burst, some 10 ms of
	// 1 Gbit/s. It costs memory only while something waits.
	relayBuffer = 1 << 20
)

// Lifetimes (RFC 8656 sections 3.2, 9 and 12).
const (
	defaultLifetime    = 10 * time.Minute
	permissionLifetime = 5 * time.Minute
	channelLifetime    = 10 * time.Minute
	// reservationLifetime is what section 7.2 asks for at least.
	reservationLifetime = 30 * time.Second
	// pionGrace is how much longer pion believes that an allocation lasts. Its own end would come at any
	// moment of a request for the same allocation, which pion does not survive: it may stop the timer of a
	// permission that has none yet.
	pionGrace = time.Minute
	// maxLifetime is a little less than what section 7.2 recommends at most, for pion to be told more: an
	// hour it would take for the default.
	maxLifetime = time.Hour - time.Second - pionGrace
)

// Bounds on what one allocation may ask for. An ICE agent names each of its peer's candidates, ten or
// twenty. pion looks for a channel in a list.
const (
	maxPermissions = 64
	maxChannels    = 64
	maxUsername    = 508 // bytes, RFC 8489 section 14.3
)

// answersPerPrefix is how many answers a second, and how many at once, a prefix is sent before an address
// in it has proved itself, unless they are no longer than the request. All are at most three times as long,
// so that a second's worth is an office, or a part of a carrier, that starts at once, or some 800 kbit/s
// at somebody whose address was forged, for a third of that.
const answersPerPrefix = 1000

const (
	// nonceLifetime is less than the hour that RFC 8656 section 5 allows, and longer than most calls:
	// each nonce costs a client one round trip more.
	nonceLifetime = 30 * time.Minute
	// pionNonceLifetime is how long a nonce of pion's is used; it would be good for an hour.
	pionNonceLifetime = 30 * time.Minute
)

// Bounds on TCP and TLS connections.
const (
	// maxStreams bounds the connections of a Server. One that has asked for nothing costs about 8 KiB,
	// with TLS about 40.
	maxStreams = 4096
	// streamShare is the part of them, one in eight, that a prefix may have while more than half are
	// taken: a company behind one address gets in, and does not shut others out. Where there are few, a
	// part of less than minStreamShare is none.
	streamShare    = 8
	minStreamShare = 16
	// frameTime is given for a frame whose first byte has come, and so for a TLS handshake.
	frameTime = 10 * time.Second
	// idleTime is given between frames to who has no allocation. Who has one may be silent as long as
	// it lasts, which pion watches.
	idleTime = time.Minute
	// writeTime is given to a client to take what it is sent. One that reads nothing is cut off.
	writeTime = 10 * time.Second
	// acceptPause is waited when the system has no descriptor left for a connection.
	acceptPause = 100 * time.Millisecond
)

const (
	// maxBinds bounds the ports that are tried for one allocation when other programs hold them:
	// about 5 ms.
	maxBinds = 512
)
