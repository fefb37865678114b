package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pileus/natprobe"
	"pileus/rtmfp/udp"
)

// continuity is what hosts and routers have for IPv4 addresses whose packets go on over
// IPv6 (RFC 7335): with 464XLAT (RFC 6877) or DS-Lite (RFC 6333).
var continuity = netip.MustParsePrefix("192.0.0.0/29")

// arrangement is what stands between a host and the Internet, beside one home router.
type arrangement struct {
	place string // who translates, in a verdict
	text  string // how that is known
}

func (r *Report) place() string { return r.arranged().place }

// NATs says what is known of how many NATs there are; empty if nothing.
func (r *Report) NATs() string { return r.arranged().text }

func (r *Report) arranged() arrangement {
	for _, find := range []func() arrangement{r.behindNAT64, r.behindLines, r.behindIPv6, r.behindTunnel, r.behindRouters, r.behindHops, r.behindCarrier, r.behindOne} {
		if a := find(); a.text != "" {
			return a
		}
	}
	return arrangement{}
}

// behindNAT64: the server was reached through one.
func (r *Report) behindNAT64() arrangement {
	for _, run := range r.Runs {
		if run.NAT64.IsValid() && r.Seen.IsValid() {
			return arrangement{"NAT64", fmt.Sprintf("NAT64 by %v makes IPv4 of this host's IPv6", run.NAT64)}
		}
	}
	return arrangement{}
}

// sixAlone reports whether this host was heard of through a NAT64, and has no IPv4 of its
// own: nobody names peers in a form that it can send to.
func (r *Report) sixAlone() bool {
	return r.behindNAT64().text != "" && len(r.Host.Interfaces) > 0 &&
		!slices.ContainsFunc(r.Host.Interfaces, func(i Interface) bool {
			return slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr().Is4() })
		})
}

// behindIPv6: what looks like IPv4 here is carried over IPv6.
func (r *Report) behindIPv6() arrangement {
	who, at := "this host's IPv4 address", r.Local.Addr()
	if !continuity.Contains(at) {
		who = ""
		for _, g := range r.Depth.Gateways {
			if continuity.Contains(g.External) && r.Way.leads(g.At) {
				who, at = "the router's own IPv4 address", g.External
			}
		}
	}
	switch v := r.Depth.IPv6; {
	case who == "" || !r.Seen.IsValid():
		return arrangement{}
	case v != nil && v.NAT64.IsValid():
		return arrangement{"464XLAT", fmt.Sprintf("464XLAT: %s, %v, is translated to IPv6, and by the carrier's NAT64 (%v) back", who, at, v.NAT64)}
	default:
		return arrangement{"IPv4 over IPv6", fmt.Sprintf("%s, %v, is for IPv4 that is carried over IPv6 (464XLAT or DS-Lite): the carrier translates it", who, at)}
	}
}

// behindTunnel: whoever translates is at its far end, or behind.
func (r *Report) behindTunnel() arrangement {
	if r.Way == nil || !r.Way.Tunnel || r.Behavior.Public.Answer != natprobe.No {
		return arrangement{}
	}
	return arrangement{
		fmt.Sprintf("NAT behind %s, a tunnel", r.Way.Interface),
		fmt.Sprintf("%s is a tunnel (a VPN, or a line of its own): who translates is at its far end, and not in this network", r.Way.Interface),
	}
}

const carriers = "home router behind a carrier's NAT"

// behindRouters: a router on the way that told its own address has not the one seen.
func (r *Report) behindRouters() arrangement {
	for _, g := range r.Depth.Gateways {
		switch {
		case !g.External.IsValid() || !r.Seen.IsValid() || g.External == r.Seen.Addr():
		case g.External.Is4() != r.Seen.Addr().Is4() || !r.Way.leads(g.At):
		case udp.SharedSpace.Contains(g.External):
			return arrangement{carriers, fmt.Sprintf("two: the router's own address is %v: it is behind a carrier's NAT", g.External)}
		case g.External.IsPrivate():
			return arrangement{"router behind another router", fmt.Sprintf("two: the router's own address is %v: it is behind another router", g.External)}
		default:
			return arrangement{"", fmt.Sprintf("the router calls itself %v, but is seen as %v: there is another NAT, or another line", g.External, r.Seen.Addr())}
		}
	}
	return arrangement{}
}

// behindHops: packets for the public address are passed on by the router, whose it is
// therefore not.
func (r *Report) behindHops() arrangement {
	p := r.Depth.Path
	if p == nil || p.Beyond == 0 || p.Beyond > len(p.Hops) || r.Behavior.Public.Answer == natprobe.Yes {
		return arrangement{}
	}
	far := fmt.Sprintf("%v is %d hops away or more, behind %v", r.Seen.Addr(), p.Beyond+1, p.Hops[p.Beyond-1])
	if p.At > 0 {
		far = fmt.Sprintf("%v is %d hops away, behind %v", r.Seen.Addr(), p.At, p.Hops[p.Beyond-1])
	}
	behind := slices.IndexFunc(p.Hops, udp.SharedSpace.Contains)
	switch {
	case behind > 0 && !udp.SharedSpace.Contains(r.Local.Addr()):
		return arrangement{carriers, fmt.Sprintf("two: %s, and the way goes on through a carrier's %v", far, p.Hops[behind])}
	}
	return arrangement{"", "the router has not the public address: " + far + ", so that another NAT translates, by itself or too"}
}

// behindCarrier: this host's own address is a carrier's to give.
func (r *Report) behindCarrier() arrangement {
	if udp.SharedSpace.Contains(r.Local.Addr()) && r.Behavior.Public.Answer == natprobe.No {
		return arrangement{"carrier's NAT", fmt.Sprintf("this host's address, %v, is of a carrier's NAT", r.Local.Addr())}
	}
	return arrangement{}
}

// behindOne: the router on the way has the public address itself.
func (r *Report) behindOne() arrangement {
	for _, g := range r.Depth.Gateways {
		if g.External.IsValid() && g.External == r.Seen.Addr() && r.Way.leads(g.At) {
			return arrangement{"", fmt.Sprintf("one: the router has %v itself", g.External)}
		}
	}
	if p := r.Depth.Path; p != nil && p.At == 1 && len(p.Hops) > 0 && r.Behavior.Public.Answer == natprobe.No {
		return arrangement{"", fmt.Sprintf("one: %v has %v itself", p.Hops[0], r.Seen.Addr())}
	}
	return arrangement{}
}

// behindLines: flows are spread.
func (r *Report) behindLines() arrangement {
	lines := r.spread()
	if lines == nil {
		return arrangement{}
	}
	names := make([]string, len(lines))
	for i, a := range lines {
		names[i] = a.String()
	}
	return arrangement{
		"router with several lines",
		fmt.Sprintf("each flow leaves by one of %s, with one port on each: a router that spreads flows over its lines. Whether a peer is met is a matter of the line", strings.Join(names, ", ")),
	}
}

// spread is the public addresses that flows of one socket left by, where a router spreads
// them over several lines: on each the socket has one port, whatever the destination.
func (r *Report) spread() []netip.Addr {
	var lines []netip.Addr
	ports := make(map[netip.Addr]uint16)
	seen := 0
	for _, run := range r.Runs {
		if run.Server != r.Server {
			continue // of another socket
		}
		for _, o := range run.Observations {
			if o.Kind != natprobe.KindMapping && o.Kind != natprobe.KindControlMapping || o.Hits == 0 || !o.Seen.IsValid() {
				continue
			}
			seen++
			port, known := ports[o.Seen.Addr()]
			switch {
			case !known:
				ports[o.Seen.Addr()] = o.Seen.Port()
				lines = append(lines, o.Seen.Addr())
			case port != o.Seen.Port():
				return nil // a symmetric NAT with several addresses
			}
		}
	}
	if len(lines) < 2 || len(lines) > maxLines || seen < minSpread {
		return nil
	}
	return lines
}

// A spread is told from a symmetric NAT with several addresses by what is the same: so
// many destinations must have been seen, by fewer lines.
const (
	minSpread = 4
	maxLines  = 3
)
