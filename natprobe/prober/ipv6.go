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
	v.NAT64 = NAT64(ctx, c.Lookup)
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
