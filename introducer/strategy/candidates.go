package strategy

import (
	"net/netip"

	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// list is addresses in the order in which they are named, each once.
type list struct {
	addrs []wire.Address
	max   int
}

// newList has room at once for what most plans name.
func newList(limit int) list { return list{make([]wire.Address, 0, min(limit, 2)), limit} }

func (l *list) add(a netip.AddrPort, o wire.Origin) {
	if len(l.addrs) >= l.max || !a.IsValid() || a.Port() == 0 {
		return
	}
	for _, have := range l.addrs {
		if have.AddrPort == a {
			return
		}
	}
	l.addrs = append(l.addrs, wire.Address{AddrPort: a, Origin: o})
}

func (l *list) reported(addrs []netip.AddrPort) {
	for _, a := range addrs {
		l.add(a, wire.OriginReported)
	}
}

// room is how many more it takes.
func (l *list) room() int { return l.max - len(l.addrs) }

func hasLocal(addrs []netip.AddrPort) bool {
	for _, a := range addrs {
		if ip := a.Addr(); udp.IsPrivate(ip) || ip.IsLoopback() {
			return true
		}
	}
	return false
}
