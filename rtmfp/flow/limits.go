package flow

import "time"

// What a session may hold for its far end and for its own application. All that
// the far end can grow is bounded here.
const (
	// DefaultMaxMessage is the longest message, in bytes, sent or received.
	DefaultMaxMessage = 64 << 10

	// MaxMetadata is the most metadata a sending flow may have, in bytes:
	// "userMetadata SHOULD NOT exceed 512 bytes" (section 2.3.11.1.1).
	MaxMetadata = 512

	// maxFarMetadata is the most metadata that is kept of a receiving flow, in
	// bytes. Some give more than they should.
	maxFarMetadata = 1024

	// DefaultMaxFlows is how many flows a session may have in one direction, those
	// included that linger for two minutes after their end.
	DefaultMaxFlows = 512

	// DefaultSendBuffer is what Write queues on one flow, in bytes of memory: whole
	// messages, until all of each is acknowledged, and what is around them. One message
	// of any length that is allowed is taken if nothing else waits.
	DefaultSendBuffer = 1 << 20

	// DefaultCapacity is the receive buffer advertised for a flow, in bytes. The
	// far end assumes as much before the first acknowledgement (section 3.6.2).
	DefaultCapacity = 64 << 10

	// MaxCapacity is the largest receive buffer of a flow, in bytes: what clients
	// advertise on media flows (16383 blocks).
	MaxCapacity = 16383 << 10

	// receiveSlack is what a receive buffer holds above its capacity plus one
	// longest message, in bytes. A sender may overshoot the advertised window by a
	// fragment (section 3.6.2.9), and by what it had in flight when it shrank.
	receiveSlack = 64 << 10

	// smallSlack is all that a receive buffer below DefaultCapacity holds above it,
	// in bytes: what a sender that has heard of no window yet may have in flight.
	smallSlack = 8 << 10

	// fragmentOverhead is added to every buffered fragment, in bytes: the memory
	// around its data (BUFFERED_SIZE, section 3.6.3). Without it a far end could
	// have us keep any number of empty fragments.
	fragmentOverhead = 64

	// What else takes memory, in bytes: a message that is queued, beside its data and
	// with its first fragment; each further fragment; a flow, beside its metadata; a
	// run of sequence numbers above the first missing one.
	messageOverhead    = 176
	sendFragmentMemory = 80
	flowMemory         = 256
	runMemory          = 16

	// minFragment is the mean size, in bytes, below which the fragments of a
	// message are too many: maxFragments(n) = n/minFragment + 16.
	minFragment = 64

	// maxGaps is how many separate runs of sequence numbers are kept above the
	// first missing one. Half of them lost at random leaves 250 in a window of 1000.
	maxGaps = 512

	// maxSeq ends the sequence numbers taken from the far end, so that counting on
	// from one never overflows. Nobody gets there honestly.
	maxSeq = 1 << 62
)

// Sizes of packets, in bytes.
const (
	// DefaultRoom is the space for chunks that every packet has: a datagram of 1192
	// bytes less session ID (4), HMAC (up to 32), block padding (up to 15), sequence
	// number or checksum (up to 10) and header (5), rounded down.
	DefaultRoom = 1124

	// minRoom leaves place for MaxMetadata and some data.
	minRoom = 700

	// ackReserve is left free in a packet full of one fragment, so that an
	// acknowledgement still rides along (section 3.6.3.4.6).
	ackReserve = 16
)

// Times.
const (
	delayedAck = 200 * time.Millisecond // section 3.6.3.4.4

	sendLinger = 130 * time.Second // F_COMPLETE_LINGER, section 3.6.2.11
	recvLinger = 120 * time.Second // RF_COMPLETE_LINGER, section 3.6.3.8

	initialRTO = 3 * time.Second // section 3.5.2.2
	minRTO     = 250 * time.Millisecond
	maxRTO     = 10 * time.Second

	firstProbe = time.Second // section 3.6.2.9.1
	lastProbe  = time.Minute

	timeCriticalMemory = 800 * time.Millisecond // section 3.5.2.1
)

// Loss and bursts.
const (
	// lossThreshold negative acknowledgements declare a fragment lost
	// (section 3.6.2.5).
	lossThreshold = 3

	// maxBurst is how many packets with user data may leave between two
	// acknowledgements or timeouts (section 3.5.2.3).
	maxBurst = 6
)

func maxFragments(maxMessage int) int { return maxMessage/minFragment + 16 }
