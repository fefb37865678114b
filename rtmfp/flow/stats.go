package flow

// DropReason says why something the far end sent had no effect.
type DropReason uint8

const (
	DropMalformed    DropReason = iota // a chunk that does not parse, or a sequence number no sender reaches
	DropOrphan                         // Next User Data with no User Data before it
	DropUnknownFlow                    // acknowledgement, exception or probe for no such flow
	DropTooManyFlows                   // opens a flow above Config.MaxFlows
	DropDuplicate                      // a sequence number seen before
	DropBeyondFinal                    // a sequence number above the flow's last
	DropBufferFull                     // above the receive buffer and its slack: not acknowledged
	DropGaps                           // would open more gaps than are kept: not acknowledged
	DropClosed                         // arrived after Abort
	DropMemory                         // above what the session, its prefix or the engine may hold: not acknowledged

	numDropReasons
)

var dropNames = [numDropReasons]string{
	"malformed", "orphan", "unknown_flow", "too_many_flows", "duplicate", "beyond_final", "buffer_full", "gaps", "closed", "memory",
}

// String returns the reason as a metric label.
func (r DropReason) String() string {
	if r < numDropReasons {
		return dropNames[r]
	}
	return "unknown"
}

// DropReasons is the number of drop reasons, for loops over Stats.Dropped.
const DropReasons = int(numDropReasons)

// Stats counts what the flows of one engine did. All counters only grow.
type Stats struct {
	MessagesQueued    uint64 // taken by Write
	MessagesDelivered uint64 // handed to a Receiver
	MessagesAbandoned uint64 // given up by the sender before they were acknowledged
	FragmentsSent     uint64 // retransmissions included
	FragmentsResent   uint64
	FragmentsLost     uint64 // by negative acknowledgement or timeout
	Timeouts          uint64 // retransmission timeouts that found something lost
	CongestionMarks   uint64 // ECN reports of newly marked packets
	FlowsRejected     uint64 // receiving flows rejected here
	Exceptions        uint64 // sending flows rejected by the far end
	Dropped           [DropReasons]uint64
}
