package strategy

import "pileus/natprobe"

// Ripe reports whether nothing that probes may tell soon changes how the two meet.
// Where they can be reached at all decides where a relay is, so that is waited for;
// the rest only where a port may change with the destination, and not if one of them
// takes packets from anybody, or a relay is needed, whatever is found.
func (p Pair) Ripe() bool {
	i, t := &p.Initiator, &p.Target
	pending := i.Pending | t.Pending
	switch {
	case pending == 0:
		return true
	case pending&natprobe.PendingReach != 0:
		return false
	case i.keepsPort() && t.keepsPort():
		return true
	}
	may := newDecision(&p).may
	if path := may.path(); path == PathRelay || path == PathNone || may.only(openTarget|openInitiator) {
		return true
	}
	return pending&natprobe.PendingFilter == 0 && !i.unpredictable() && !t.unpredictable()
}

// keepsPort reports whether the side's port is the same for all destinations, as far as
// the session's own address of the node can tell. (That a port depends on the address
// alone is rare, and shows only when another address may be named.)
func (s *Side) keepsPort() bool {
	m := s.Behavior.Mapping
	return m == natprobe.EIM || m == natprobe.MappingNotAPDM || s.Behavior.Public.Answer == natprobe.Yes
}

// unpredictable reports whether the side's next port is about to be known.
func (s *Side) unpredictable() bool {
	return !s.keepsPort() && s.Pending&natprobe.PendingAllocation != 0
}

// maySteps reports whether the side's next port may be one that can be predicted.
func (s *Side) maySteps() bool {
	a := s.Behavior.Allocation
	return !s.keepsPort() && a != natprobe.Random && a != natprobe.Ranged
}
