package lab

import (
	"net/netip"
	"time"
)

// allocate finds a port at ip for a new mapping of p.
func (n *NAT) allocate(now time.Time, ip netip.Addr, p Packet) (outsideKey, bool) {
	key := func(port uint16) outsideKey {
		k := outsideKey{public: netip.AddrPortFrom(ip, port)}
		if n.sharesPorts() {
			k.remote = p.Dst
		}
		return k
	}
	first, last := n.b.Ports[0], n.b.Ports[1]
	size := int(last) - int(first) + 1
	start, step := first, 1
	switch n.b.Allocation {
	case PreservePort, PreserveFlowPort:
		if k := key(p.Src.Port()); n.free(now, k) {
			return k, true
		}
		start = n.anyPort()
	case StepPort:
		step = n.b.Step
		if port, ok := n.last[ip]; ok {
			start = n.within(int(port) + step)
		} else {
			start = n.anyPort()
		}
	case RandomPort:
		start = n.anyPort()
	}
	port := start
	for range size {
		if k := key(port); n.free(now, k) {
			n.last[ip] = port
			return k, true
		}
		port = n.within(int(port) + step)
	}
	return outsideKey{}, false
}

func (n *NAT) anyPort() uint16 {
	first, last := int(n.b.Ports[0]), int(n.b.Ports[1])
	return uint16(first + n.random.IntN(last-first+1))
}

// within brings a port that ran over an end of the range back into it.
func (n *NAT) within(port int) uint16 {
	first, last := int(n.b.Ports[0]), int(n.b.Ports[1])
	size := last - first + 1
	return uint16(first + ((port-first)%size+size)%size)
}

// free reports whether no mapping has k, and forgets one that expired.
func (n *NAT) free(now time.Time, k outsideKey) bool {
	if until, ok := n.taken[k]; ok && now.Before(until) {
		return false
	}
	m := n.outside[k]
	if m == nil {
		return true
	}
	if now.Before(m.expires) {
		return false
	}
	n.forget(m)
	return true
}
