package rtmfp

// A DropReason says why a datagram, or a chunk in it, had no effect.
type DropReason uint8

// The reasons. The set is closed: each is a counter.
const (
	DropTruncated      DropReason = iota // too short to be RTMFP
	DropOversize                         // longer than MaxReceive
	DropUnknownSession                   // no session has this ID
	DropChecksum                         // simple checksum wrong
	DropHMAC                             // HMAC missing or wrong
	DropReplay                           // session sequence number seen before, or a repeated IIKeying
	DropMalformed                        // a header or chunk that does not parse
	DropMode                             // packet mode does not fit the session's role
	DropTag                              // answer to no IHello of ours
	DropCertificate                      // not well-formed, or not the one asked for
	DropCookie                           // forged or expired
	DropKeying                           // component unacceptable to the profile
	DropSameAddress                      // another session holds this far address (RFC 7016 3.5.1.1.2)
	DropGlare                            // the near end prevails (RFC 7016 3.5.1.3)
	DropRate                             // over a limit per prefix or session
	DropBusy                             // a bounded queue or table is full
	DropState                            // nothing of this kind is expected now
	DropFragment                         // packet fragment that completes nothing
	DropUnproven                         // as many sessions wait for the first packet from this address as may
	DropShare                            // its prefix has its share of sessions or memory
	numDropReasons
)

var dropNames = [numDropReasons]string{
	"truncated", "oversize", "unknown_session", "checksum", "hmac", "replay", "malformed", "mode", "tag",
	"certificate", "cookie", "keying", "same_address", "glare", "rate", "busy", "state", "fragment", "unproven", "share",
}

func (r DropReason) String() string {
	if r < numDropReasons {
		return dropNames[r]
	}
	return "unknown"
}

// Stats counts what an engine did. All but what it says is "now" only grows.
type Stats struct {
	ReceivedPackets, ReceivedBytes uint64
	SentPackets, SentBytes         uint64
	Beside                         uint64 // datagrams that Config.Beside took: not among the received
	Foreign                        uint64 // datagrams that Config.Foreign took
	Hellos                         uint64 // IHellos that selected us
	ForeignHellos                  uint64 // IHellos handed to Handler.Hello
	Forwarded                      uint64 // FIHellos answered
	Accepted, Initiated            uint64 // sessions that opened, by role
	Moved                          uint64 // verified address changes
	Overridden                     uint64 // sessions replaced by newer ones of the same endpoint
	Relieved                       uint64 // sessions closed for the memory they held
	GaveWay                        uint64 // sessions that nobody had used yet, ended for others that were asked for
	Sessions, Unproven, Openings   int    // now; the first includes those that nobody has used yet, the second counts them
	Waiting                        int    // IIKeyings that wait for public-key work, now
	Memory, MemoryLimit            int64  // bytes held for all sessions, now, and SharedLimits.Memory
	Prefixes                       int    // narrow and wide ones with sessions, now
	Drops                          [numDropReasons]uint64
}

// EachDrop calls f for every reason with its count.
func (s *Stats) EachDrop(f func(reason string, n uint64)) {
	for r, n := range s.Drops {
		f(DropReason(r).String(), n)
	}
}
