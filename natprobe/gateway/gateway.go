// Package gateway finds the router on the way to somebody, and asks it for its own
// outside address, in the protocols that home routers speak. Where that is not the address seen outside,
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

	"pileus/natprobe/report"
)

// network is where routers are looked for.
type network struct {
	router netip.AddrPort // the one on the way, where PCP and NAT-PMP are spoken; zero: there is none
	hosts  []netip.Addr   // this host's own, from which UPnP's routers are called
	group  netip.AddrPort // at which they listen
}

// Ask asks whoever is on a way, in every protocol at once. What told no address has a text
// instead.
func Ask(ctx context.Context, w Way) []report.Gateway { return w.network().ask(ctx) }

// network is the one that the way goes through first.
func (w Way) network() *network {
	n := &network{hosts: w.on(multicasting()), group: ssdpGroup}
	if w.Router.Is4() && w.Router.IsGlobalUnicast() {
		n.router = netip.AddrPortFrom(w.Router, routerPort)
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

// isRouter reports whether an address is that of the router on the way.
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
	errNoRouter  = sayError("no router is on this way, or none is known")
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
