package netconn

// DropReason is why a message or a flow was not taken.
type DropReason uint8

// The reasons.
const (
	DropTruncated   DropReason = iota // shorter than its header
	DropAMF                           // values that do not parse
	DropFormat                        // a command extended message that is not of format 0
	DropNoCommand                     // values that are no command
	DropOversize                      // a command over the limit
	DropType                          // a message type that means nothing here
	DropEvent                         // a user control event that means nothing here
	DropUnconnected                   // before connect was accepted, or after the end
	DropReply                         // an answer to no call
	DropCommand                       // a command nobody knows and that wants no answer
	DropSync                          // a flow synchronisation that cannot be
	DropSend                          // an answer or event that the far end left no room for
	DropFlow                          // a flow with unknown or malformed metadata
	DropStreamFlow                    // a flow for a stream that is not here
	DropLimit                         // one more than a limit of this package
	DropMedia                         // media sent to a node that carries no streams
	dropReasons
)

var dropNames = [dropReasons]string{
	DropTruncated:   "truncated",
	DropAMF:         "amf",
	DropFormat:      "format",
	DropNoCommand:   "no_command",
	DropOversize:    "oversize",
	DropType:        "type",
	DropEvent:       "event",
	DropUnconnected: "unconnected",
	DropReply:       "reply",
	DropCommand:     "command",
	DropSync:        "sync",
	DropSend:        "send",
	DropFlow:        "flow",
	DropStreamFlow:  "stream_flow",
	DropLimit:       "limit",
	DropMedia:       "media",
}

// String is the reason as a label of metrics.
func (r DropReason) String() string {
	if r < dropReasons {
		return dropNames[r]
	}
	return "unknown"
}

// DropReasons are all of them, in order.
func DropReasons() []DropReason {
	all := make([]DropReason, dropReasons)
	for i := range all {
		all[i] = DropReason(i)
	}
	return all
}

// Stats counts what a Server or a Client took and what it did not.
type Stats struct {
	Messages uint64 // received, dropped ones included
	Commands uint64 // understood
	Unread   uint64 // sessions closed since the client did not read
	Drops    [dropReasons]uint64
}

func (s *Stats) drop(r DropReason) { s.Drops[r]++ }
