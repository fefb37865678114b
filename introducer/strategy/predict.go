package strategy

import (
	"net/netip"

	"pileus/natprobe"
	"pileus/rtmfp/wire"
)

// Ports from which a NAT chooses, if none are known to be.
const firstPort, lastPort = 1024, 65535

// leastWindow is how many ports are predicted on a NAT that nobody else was seen
// to use: one may be taken meanwhile.
const leastWindow = 4

const secondStride = 2

// aim is the sides whose ports to predict. Only those that step: on such a NAT
// each further destination costs a port, so addresses that are predicted for
// nothing spoil what would have worked.
func (d *decision) aim() Aim {
	var may meeting
	for _, r := range d.routes[:d.n] {
		if r.observed {
			may |= r.may
		}
	}
	options := may & predicted
	if d.Initiator.Anonymous {
		options &= predictTarget
	}
	// Where another way is sure, or may do, prediction waits for a failure.
	round := d.Failures
	if d.may.has(reached) {
		if round%2 == 0 {
			return 0
		}
		round /= 2
	}
	return pick(options, round)
}

// pick is one of several options, another one each round.
func pick(options meeting, round int) Aim {
	aims := make([]Aim, 0, 3)
	for _, o := range [...]struct {
		is  meeting
		aim Aim
	}{{predictTarget, AimTarget}, {predictInitiator, AimInitiator}, {predictBoth, AimInitiator | AimTarget}} {
		if options.has(o.is) {
			aims = append(aims, o.aim)
		}
	}
	if len(aims) == 0 {
		return 0
	}
	return aims[round%len(aims)]
}

// predict names the next ports of the sides aimed at, and the observed address of
// the other. Of two that step, neither one's observed address leads anywhere.
func (d *decision) predict(aim Aim, redirects, replies *list) {
	i, t := &d.Initiator, &d.Target
	room := min(redirects.room(), replies.room())
	switch aim {
	case AimTarget:
		t.window(redirects, min(d.width(t), max(room-1, 1)), 1, 0)
		redirects.add(t.Observed, wire.OriginObserved)
		replies.add(i.Observed, wire.OriginObserved)
	case AimInitiator:
		i.window(replies, min(d.width(i), max(room-1, 1)), 1, 0)
		replies.add(i.Observed, wire.OriginObserved)
		redirects.add(t.Observed, wire.OriginObserved)
	default:
		stride := d.stride()
		n := min(max(d.width(i), d.width(t), stride*leastWindow), room)
		t.window(redirects, n, stride, t.Named)
		i.window(replies, n, 1, i.Named)
	}
}

// Of two that step, each k-th new destination of one costs its k-th next port, so
// the j-th address named to the initiator meets the one that names the initiator's
// j-th port. In equal lists that is the j-th of the target, for every j; but only if
// nobody else took a port of either NAT. With every second port for the initiator
// the lists cross once, for any few ports that others took, on whichever side: in
// the lab, with 20 flows a second through both NATs, 98 % of pairs instead of 16 %.
//
// The first wave, which follows no other, is equal lists: it loses nothing where nobody else is, and ends
// before the second begins, which matters since an address that was named before
// costs no port. Where a port serves all ports of an address, all that is no matter.
func (d *decision) stride() int {
	first := d.Initiator.Named == 0 && d.Target.Named == 0
	if first || d.Initiator.Behavior.Mapping == natprobe.ADM || d.Target.Behavior.Mapping == natprobe.ADM {
		return 1
	}
	return secondStride
}

// width is the number of ports to predict: as many as others were seen to take,
// on either side of the measurement, and more for each failure.
func (d *decision) width(s *Side) int {
	step, jitter := s.step(), s.Behavior.Jitter
	if step < 0 {
		step = -step
	}
	return leastWindow*(1+d.Failures) + 2*((jitter+step-1)/step)
}

func (s *Side) step() int {
	if s.Behavior.Step == 0 {
		return 1 // the usual one, for a NAT that may step
	}
	return s.Behavior.Step
}

// window adds the ports of the side's next n mappings, every stride-th of them,
// after the first spent.
func (s *Side) window(l *list, n, stride, spent int) {
	from := s.Next
	if !from.IsValid() {
		from = s.Latest
		if !from.IsValid() {
			from = s.Observed
		}
		spent = 1 // the fresh FIHello, which goes before
	}
	for k := range n {
		steps := spent + 1 + k*stride
		l.add(netip.AddrPortFrom(from.Addr(), s.port(from.Port(), steps*s.step())), wire.OriginObserved)
	}
}

// port is from and distance, around the ends of the NAT's range.
func (s *Side) port(from uint16, distance int) uint16 {
	low, high := firstPort, lastPort
	if r := s.Behavior.Range; r[0] < r[1] && r[0] <= from && from <= r[1] {
		low, high = int(r[0]), int(r[1])
	}
	low = min(low, max(int(from), 1))
	size := high - low + 1
	offset := (int(from) - low + distance) % size
	if offset < 0 {
		offset += size
	}
	return uint16(low + offset)
}
