package prober

import (
	"context"
	"net/netip"
	"time"

	"pileus/natprobe/binding"
	"pileus/natprobe/report"
)

const (
	maxHops  = 5 // a carrier's NAT is near its customers
	hopTries = 3
	hopEvery = 250 * time.Millisecond // routers say little of ICMP a second
)

// HopsConfig says where to look.
type HopsConfig struct {
	Local  netip.Addr     // of this host
	Server netip.AddrPort // that answers
	Seen   netip.AddrPort // this host's address, as the server sees it
}

// Hops finds the first routers on the way to the server, and where on it the public
// address is, by packets whose hops are used up there (RFC 1812 section 5.3.1). A router
// that passes on what is for that address has not the address, and is not the last NAT.
// Nil where the system does not tell who says so, or nobody does.
func Hops(ctx context.Context, c HopsConfig) *report.Path {
	var path report.Path
	for hops := 1; hops <= maxHops && ctx.Err() == nil; hops++ {
		// The way to the server is the control: silence from a hop that answers there
		// means something.
		to, arrived := c.expires(ctx, c.Server, hops)
		if arrived || !to.IsValid() && hops == 1 {
			break
		}
		path.Hops = append(path.Hops, to)
		if path.At > 0 || path.Beyond < hops-1 {
			continue
		}
		switch by, _ := c.expires(ctx, c.Seen, hops); {
		case by.IsValid():
			path.Beyond, path.Hops[hops-1] = hops, by
		case to.IsValid():
			path.At = hops
		}
	}
	for len(path.Hops) > 0 && !path.Hops[len(path.Hops)-1].IsValid() {
		path.Hops = path.Hops[:len(path.Hops)-1]
	}
	if len(path.Hops) == 0 {
		return nil
	}
	return &path
}

// expires sends packets that may pass so many hops less one, and returns who says that
// they expired, zero if nobody does; or that one arrived.
func (c HopsConfig) expires(ctx context.Context, to netip.AddrPort, hops int) (by netip.Addr, arrived bool) {
	conn, err := openPath(ctx, c.Local, to)
	if err != nil {
		return by, false
	}
	defer conn.Close()
	if conn.setTTL(hops) != nil {
		return by, false
	}
	request := binding.Request{Transaction: transaction()}.Append(nil)
	for range hopTries {
		_, _ = conn.Write(request) // its failure may be word of the try before
		for until := time.Now().Add(hopEvery); ctx.Err() == nil; {
			said, data, err := conn.next(until)
			switch {
			case data != nil || said.kind == icmpPort:
				return by, true
			case said.kind == icmpExpired:
				return said.by, false
			}
			if err != nil { // it is time for the next try
				break
			}
		}
	}
	return by, false
}
