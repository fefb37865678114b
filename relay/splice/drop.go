package splice

// DropReason says why a packet that came to a relay port went nowhere.
type DropReason uint8

// The reasons, a closed list for counters. What a limit dropped is counted by its
// flow.
const (
	DropTruncated   DropReason = iota // no RTMFP packet
	DropIdlePort                      // nobody is relayed at the port
	DropStranger                      // from an address that is no side's
	DropSessionID                     // from a side, with an ID that its far end does not have
	DropUnbound                       // its far end is not known yet
	DropMalformed                     // a startup packet that does not parse
	DropUnexpected                    // a startup packet that has no place here
	DropTag                           // of no introduction at this port
	DropCookie                        // of no RHello that went out at this port
	DropCertificate                   // of another peer than the one introduced
	DropAddress                       // from where a relay sends nothing
	DropRepeat                        // of what is kept, or was answered
	DropUnproven                      // to, or from, where a peer may be and has not answered
	DropGlare                         // an IIKeying that the other side's, which prevails, makes useless
	DropInbox                         // more at the engine's sockets than was taken over
	DropRefused                       // what was reserved cannot be had: its port, a quota, or the room for startups is used up
)

// numDropReasons is how many there are.
const numDropReasons = int(DropRefused) + 1

var dropNames = [numDropReasons]string{
	"truncated", "idle-port", "stranger", "session-id", "unbound", "malformed", "unexpected",
	"tag", "cookie", "certificate", "address", "repeat", "unproven", "glare", "inbox", "refused",
}

func (r DropReason) String() string { return dropNames[r] }

// Stats counts what a Table did. All but Splices only grow. Every packet received
// was forwarded, kept, dropped, the proof of a place, or left to its flow, where it waits
// or is dropped.
type Stats struct {
	Received  uint64
	Forwarded uint64
	Kept      uint64 // IHellos and RHellos, for their far end to come
	Queued    uint64 // over a limit
	Unqueued  uint64 // of these, forwarded later
	Sent      uint64 // packets that were kept, and repeats of startup packets
	Rebound   uint64 // new sources believed
	Asked     uint64 // IHellos to where a peer may be
	Proven    uint64 // of these, answered
	Moved     uint64 // calls that went to other ports of the pair
	Drops     [numDropReasons]uint64
	Ends      [numEndReasons]uint64
	Splices   int // now
}

// EndReason says why a splice ended.
type EndReason uint8

// The reasons, a closed list for counters.
const (
	EndUnbound  EndReason = iota // no IIKeying came: they met without the relay, or not at all
	EndGone                      // the NetConnection of one of the peers ended
	EndIdle                      // a side was silent
	EndLifetime                  // max_lifetime
	EndOrdered                   // an operator's order
	EndStopped                   // the relay stopped
	EndRefused                   // it could not begin
	EndAddress                   // this machine has an address of its no longer
)

// numEndReasons is how many there are.
const numEndReasons = int(EndAddress) + 1

var endNames = [numEndReasons]string{"unbound", "gone", "idle", "lifetime", "ordered", "stopped", "refused", "address"}

func (r EndReason) String() string { return endNames[r] }
