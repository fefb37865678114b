package report

import (
	"net/netip"
	"time"

	"pileus/natprobe"
	natlab "pileus/natprobe/lab"
)

var (
	nodeMain  = netip.AddrPortFrom(natlab.FirstNodeAddress, natlab.NodePort)
	nodeOther = netip.AddrPortFrom(natlab.SecondNodeAddress, natlab.NodePort)
)

// at is a time of a record, in milliseconds.
func at(ms int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

func seen(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), port)
}

// home is a complete record of a home router.
func home() []natprobe.Observation {
	return mapped([]uint16{40000, 40000}, []uint16{40000, 40000})
}

// mapped is a record of a NAT that filters by address and port, seen at port 40000
// by the node, and as these ports at 1938, 1939, ... of its first and second address.
func mapped(first, second []uint16) []natprobe.Observation {
	hit := func(kind natprobe.Kind, ms int, node, from netip.AddrPort) natprobe.Observation {
		return natprobe.Observation{Kind: kind, Node: node, Since: at(ms - 40), At: at(ms), Tries: 1, Hits: 1, Seen: from}
	}
	port := func(of netip.AddrPort, n int) netip.AddrPort { return netip.AddrPortFrom(of.Addr(), uint16(n)) }
	var none netip.AddrPort
	obs := []natprobe.Observation{
		{Kind: natprobe.KindObserved, Node: nodeMain, Seen: seen(40000), At: at(0)},
		{Kind: natprobe.KindReported, Seen: netip.MustParseAddrPort("192.168.1.2:40000"), At: at(0)},
		hit(natprobe.KindControlFilter, 40, nodeMain, none),
		hit(natprobe.KindControlMapping, 40, nodeMain, seen(40000)),
		{Kind: natprobe.KindFilter, Node: port(nodeMain, 1936), Since: at(40), At: at(1060), Tries: 7},
		{Kind: natprobe.KindFilter, Node: port(nodeOther, 1936), Since: at(40), At: at(1060), Tries: 7},
		hit(natprobe.KindControlFilter, 1100, nodeMain, none),
		hit(natprobe.KindControlMapping, 1400, nodeMain, seen(40000)),
		{Kind: natprobe.KindObserved, Node: nodeMain, Seen: seen(40000), At: at(1500)},
	}
	ms := 1300
	for i := range max(len(first), len(second)) {
		for n, ports := range [][]uint16{first, second} {
			if i < len(ports) {
				node := port([]netip.AddrPort{nodeMain, nodeOther}[n], 1938+i)
				obs = append(obs, hit(natprobe.KindMapping, ms, node, seen(ports[i])))
			}
			ms += 10
		}
	}
	return obs
}
