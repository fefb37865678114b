package flow

import "time"

// Shared joins the Muxes of one engine: its counters, and what section 3.5.2.1 and
// appendix A want to know about time critical traffic in all its sessions. The zero
// Shared is ready. It belongs to the engine's goroutine.
type Shared struct {
	Stats Stats

	epoch  time.Time   // what instants count from
	packet packetState // of the Mux that is receiving

	sent time.Time // a packet with time critical data left, in whatever session

	// The last two sessions that received such packets, the latest first: enough to
	// say for any session whether another did.
	from [2]struct {
		mux *Mux
		at  time.Time
	}
}

// begin sets the epoch with the first Mux, to before now, since the instant 0 means
// never.
func (s *Shared) begin(now time.Time) {
	if s.epoch.IsZero() {
		s.epoch = now.Add(-time.Second)
	}
}

// forget drops a Mux that has ended.
func (s *Shared) forget(m *Mux) {
	if s.packet.mux == m {
		s.packet = packetState{}
	}
	for i := range s.from {
		if s.from[i].mux == m {
			s.from[i].mux = nil
		}
	}
}

// packetState is what has been learned from the packet being received. It is not in
// the Mux, since only one packet is received at a time and most Muxes are idle.
type packetState struct {
	mux *Mux

	flow         *RecvFlow // of the last User Data chunk, for Next User Data
	seq, forward uint64

	preAck int32 // PRE_ACK_OUTSTANDING of appendix A
	acked  int32 // ACKED_BYTES_THIS_PACKET

	anyLoss, anyNaks, anyAcks bool // of appendix A
	anyMarks                  bool // it reports congestion that was not known of
	data                      bool // it holds user data
}
