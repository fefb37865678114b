package prober

import (
	"context"
	"net/netip"
	"time"

	"pileus/natprobe/binding"
)

// icmpError is what ICMP says of a packet, and who says it; zero where the system does
// not tell.
type icmpError struct {
	by   netip.Addr
	kind icmpKind
}

type icmpKind uint8

const (
	icmpNone        icmpKind = iota
	icmpExpired              // the packet's hops are used up
	icmpPort                 // nothing listens
	icmpProhibited           // a filter says so
	icmpUnreachable          // no way there
	icmpOther
)

const (
	refusedTries = 3
	refusedEvery = 200 * time.Millisecond
)

// Refused sends to an address and listens for who refuses that; no text if nobody does.
func Refused(ctx context.Context, to netip.AddrPort) (by netip.Addr, text string) {
	return refusedFrom(ctx, netip.Addr{}, to)
}

// RefusedFrom is Refused from an address of this host.
func RefusedFrom(local netip.Addr) func(ctx context.Context, to netip.AddrPort) (netip.Addr, string) {
	return func(ctx context.Context, to netip.AddrPort) (netip.Addr, string) { return refusedFrom(ctx, local, to) }
}

func refusedFrom(ctx context.Context, local netip.Addr, to netip.AddrPort) (by netip.Addr, text string) {
	conn, err := openPath(ctx, local, to)
	if err != nil {
		return by, ""
	}
	defer conn.Close()
	request := binding.Request{Transaction: transaction()}.Append(nil)
	for range refusedTries {
		_, _ = conn.Write(request) // its failure may be word of the try before
		for until := time.Now().Add(refusedEvery); ctx.Err() == nil; {
			said, _, err := conn.next(until)
			if err != nil {
				break
			}
			if text := said.refusal(to.Addr()); text != "" {
				return said.by, text
			}
		}
	}
	return by, ""
}

// refusal says what is refused; empty if nothing is.
func (e icmpError) refusal(to netip.Addr) string {
	switch {
	case e.kind == icmpPort && e.by == to:
		return "nothing listens there (port unreachable)"
	case e.kind == icmpPort && !e.by.IsValid():
		return "nothing listens there, or a firewall says so (port unreachable)"
	case e.kind == icmpPort:
		return "a firewall refuses this (port unreachable)"
	case e.kind == icmpProhibited:
		return "a firewall refuses this (prohibited)"
	case e.kind == icmpUnreachable:
		return "there is no way (unreachable)"
	}
	return ""
}
