package prober

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/report"
)

const lookupPatience = 2 * time.Second

// The addresses that ipv4only.arpa has (RFC 7050 section 2.2): in IPv6 addresses of
// that name, they stand behind the prefix of a NAT64.
var wellKnown = []netip.Addr{netip.MustParseAddr("192.0.0.170"), netip.MustParseAddr("192.0.0.171")}

// SixConfig says whom to ask over IPv6, if anybody.
type SixConfig struct {
	Servers []netip.AddrPort // where one may answer; none: nobody
	Host    report.Host
	// Lookup finds the IPv6 addresses of a name.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	Trace  func(report.Event)
}

// Six says what there is of IPv6.
func Six(ctx context.Context, c SixConfig) report.IPv6 {
	v := report.IPv6{Global: hasGlobal6(c.Host)}
	lookup, cancel := context.WithTimeout(ctx, lookupPatience)
	defer cancel()
	if addrs, err := c.Lookup(lookup, "ipv4only.arpa"); err == nil {
		v.NAT64 = nat64(addrs)
	}
	if len(c.Servers) == 0 {
		if v.Global {
			v.Text = "not tried: no server was named that has one"
		}
		return v
	}
	found, err := Find(ctx, Config{
		Server: c.Servers[0], Others: c.Servers[1:], Trace: c.Trace,
		Refused: func(context.Context, netip.AddrPort) (by netip.Addr, text string) { return by, text }, // silence is told, not why
	})
	switch {
	case errors.Is(err, ErrNoAnswer):
		v.Text = "but no answer from " + c.Servers[0].String()
		return v
	case err != nil:
		v.Text = "no route to " + c.Servers[0].Addr().String()
		return v
	}
	v.Local, v.Seen, v.Translated = found.Local, found.Seen, natprobe.No
	if v.Seen.Addr() != v.Local.Addr() {
		v.Translated = natprobe.Yes
	}
	return v
}

func hasGlobal6(h report.Host) bool {
	return slices.ContainsFunc(h.Interfaces, func(i report.Interface) bool {
		return slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool {
			return p.Addr().Is6() && p.Addr().IsGlobalUnicast() && !p.Addr().IsPrivate()
		})
	})
}

// nat64 finds the prefix, of the lengths and places that RFC 6052 section 2.2 has.
func nat64(addrs []netip.Addr) netip.Prefix {
	for _, a := range addrs {
		if !a.Is6() || a.Is4In6() {
			continue
		}
		b := a.As16()
		for _, bits := range []int{96, 64, 56, 48, 40, 32} {
			var four [4]byte
			at := bits / 8
			for i := range four {
				if at == 8 { // bits 64 to 71 are zero
					at++
				}
				four[i] = b[at]
				at++
			}
			if slices.Contains(wellKnown, netip.AddrFrom4(four)) {
				return netip.PrefixFrom(a, bits).Masked()
			}
		}
	}
	return netip.Prefix{}
}
