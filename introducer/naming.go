package introducer

import (
	"net/netip"

	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// maxNamed is how many reported addresses of one peer are ever told to others.
const maxNamed = 4

// named lists the addresses of target that asker may be told, best first. The
// observed one always; reported ones only where they cannot point asker at a
// stranger:
//
//   - private or unique-local: when both peers share a public address, or report
//     the same /24 or /64;
//   - global: when its IP is the observed one's, or it answered there;
//   - loopback: when both peers are observed on it.
func named(target, asker *Peer) []wire.Address {
	observed := target.Addr()
	list := []wire.Address{{AddrPort: observed, Origin: wire.OriginObserved}}
	for _, a := range target.reported {
		if len(list) > maxNamed {
			break
		}
		if a == observed || a != target.proven && !nameable(a.Addr(), target, asker) {
			continue
		}
		list = append(list, wire.Address{AddrPort: a, Origin: wire.OriginReported})
	}
	return list
}

func nameable(a netip.Addr, target, asker *Peer) bool {
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast():
		return false
	case a.IsLoopback():
		return asker != nil && target.Addr().Addr().IsLoopback() && asker.Addr().Addr().IsLoopback()
	case udp.IsPrivate(a):
		return asker != nil && sameSite(target, asker, a)
	default:
		return a == target.Addr().Addr()
	}
}

// sameSite reports whether asker may be on the network where target has a.
func sameSite(target, asker *Peer, a netip.Addr) bool {
	if target.Addr().Addr() == asker.Addr().Addr() {
		return true
	}
	site := sitePrefix(a)
	for _, r := range asker.reported {
		if site.Contains(r.Addr()) {
			return true
		}
	}
	return false
}

func sitePrefix(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
