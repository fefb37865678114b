package turn

import (
	"sync/atomic"

	"github.com/pion/stun/v2"
)

// A DropReason says why a message or packet had no effect.
type DropReason uint8

// The reasons. The set is closed: each is a counter.
const (
	DropNotTURN      DropReason = iota // neither STUN nor ChannelData
	DropMalformed                      // STUN that cannot be decoded, or a Send indication that lacks something
	DropUnexpected                     // a method or class that no client sends
	DropNoAllocation                   // data from who has no allocation
	DropNoChannel                      // on a channel that is not bound
	DropOversize                       // longer than can be relayed
	DropRationed                       // a stranger's prefix has had its answers
	DropNoPermission                   // from a peer without permission, or a family that the peer's is not
	DropForbidden                      // to an address that may not be sent to
	DropWrite                          // the system refused to send it
	DropStreamLimit                    // a TCP or TLS connection beyond the caps
	DropStreamFrame                    // a TCP or TLS connection that sent no frame, or not all of it in time
	numDropReasons
)

var dropNames = [numDropReasons]string{
	"not_turn", "malformed", "unexpected", "no_allocation", "no_channel", "oversize", "rationed", "no_permission", "forbidden",
	"write", "stream_limit", "stream_frame",
}

func (r DropReason) String() string {
	if r < numDropReasons {
		return dropNames[r]
	}
	return "unknown"
}

// codes are the error codes that the server answers with.
var codes = [...]stun.ErrorCode{300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 486, 508}

// Stats counts since the start, but for the numbers of now.
type Stats struct {
	Allocations [numTransports]int // now, by Transport
	Streams     int                // TCP and TLS connections now

	Opened   [numTransports]uint64 // allocations
	Granted  uint64                // requests that succeeded, Bindings not included
	Bindings uint64                // Binding requests handed to the answerer
	Refused  map[int]uint64        // requests by error code, every code that is used
	Drops    [numDropReasons]uint64
	Flaws    [numFlaws]uint64 // names with a flaw, signed with the right password
	PionSaid uint64           // messages that pion could not handle: they got past the front, or came too late
}

// EachDrop calls f for every reason with its count.
func (s *Stats) EachDrop(f func(reason string, n uint64)) {
	for r, n := range s.Drops {
		f(DropReason(r).String(), n)
	}
}

type counters struct {
	opened            [numTransports]atomic.Uint64
	granted, bindings atomic.Uint64
	refused           [len(codes)]atomic.Uint64
	drops             [numDropReasons]atomic.Uint64
	flaws             [numFlaws]atomic.Uint64
	pion              atomic.Uint64
}

func (c *counters) drop(r DropReason) { c.drops[r].Add(1) }

func (c *counters) refuse(code stun.ErrorCode) {
	for i, known := range codes {
		if known == code {
			c.refused[i].Add(1)
		}
	}
}
