// Package gateway asks this network's router for its own outside address, in the
// protocols that home routers speak. Where that is not the address seen outside,
// there is another NAT behind it. Nothing is changed in a router, but that PCP
// tells the address only with a mapping: of a port of this package's own, which
// lets nobody in, and taken back at once.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	defaultroute "github.com/jackpal/gateway"

	"pileus/natprobe/report"
)

// network is where routers are looked for.
type network struct {
	router netip.AddrPort // the default one, where PCP and NAT-PMP are spoken; zero: none is known
	hosts  []netip.Addr   // this host's own, from which UPnP's routers are called
	group  netip.AddrPort // at which they listen
}

// Ask asks in every protocol at once. What told no address has a text instead.
func Ask(ctx context.Context) []report.Gateway { return here().ask(ctx) }

func here() *network {
	n := &network{hosts: multicasting(), group: ssdpGroup}
	if ip, err := defaultroute.DiscoverGateway(); err == nil { // else there is none
		if addr, ok := netip.AddrFromSlice(ip); ok {
			n.router = netip.AddrPortFrom(addr.Unmap(), routerPort)
		}
	}
	return n
}

// told is what a router said.
type told struct {
	at       netip.Addr // who said it; zero: nobody
	external netip.Addr
	remark   string
}

func (n *network) ask(ctx context.Context) []report.Gateway {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	protocols := []struct {
		name string
		ask  func(context.Context) (told, error)
	}{
		{"UPnP IGD", n.upnp},
		{"NAT-PMP", n.pmp},
		{"PCP", n.pcp},
	}
	all := make([]report.Gateway, len(protocols))
	var work sync.WaitGroup
	for i, p := range protocols {
		work.Go(func() {
			began := time.Now()
			t, err := p.ask(ctx)
			g := report.Gateway{Protocol: p.name, Text: t.remark}
			if t.at.IsValid() {
				g.At = t.at.String()
			}
			if err == nil && !t.external.IsGlobalUnicast() { // private ones are
				err = errNoAddress
			}
			if err != nil {
				g.Text = plain(err)
			} else {
				g.External, g.Took = t.external, time.Since(began)
			}
			all[i] = g
		})
	}
	work.Wait()
	return all
}

// isRouter reports whether an address is that of the default router.
func (n *network) isRouter(a netip.Addr) bool { return n.router.IsValid() && a == n.router.Addr() }

// understood tells silence from what makes no sense.
func understood(err error) error {
	if said, ok := errors.AsType[sayError](err); ok {
		return said
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return errStrange
}

// sayError is for people as it is: nothing in it is a router's own words.
type sayError string

func (e sayError) Error() string { return string(e) }

const (
	errSilent    = sayError(report.NoAnswer)
	errNoRouter  = sayError("no default router is known")
	errNoAddress = sayError("it has no outside address")
	errStrange   = sayError("its answer was not understood")
	// errElsewhere: a device speaks for itself. Whoever is on this network could
	// otherwise have this host ask any other.
	errElsewhere = sayError("its answer leads to another host, which is not asked")
)

// plain keeps to words of this package's own.
func plain(err error) string {
	if said, ok := errors.AsType[sayError](err); ok {
		return said.Error()
	}
	if failed, ok := errors.AsType[net.Error](err); ok && !failed.Timeout() {
		return fmt.Sprintf("%s: nothing listens there", report.NoAnswer)
	}
	return report.NoAnswer
}
