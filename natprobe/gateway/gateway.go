// Package gateway asks this network's router for its own outside address, in the
// protocols that home routers speak. Where that is not the address seen outside,
// there is another NAT behind it. Nothing is changed in a router.
package gateway

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/huin/goupnp/dcps/internetgateway2"
	defaultroute "github.com/jackpal/gateway"
	natpmp "github.com/jackpal/go-nat-pmp"

	"pileus/natprobe"
)

// patience is for all of it: UPnP alone listens for two seconds who is there.
const patience = 4 * time.Second

// Ask asks in every protocol at once. What is silent has a text instead of an
// address.
func Ask(ctx context.Context) []natprobe.Gateway {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	protocols := []struct {
		name string
		ask  func(context.Context) (at string, external netip.Addr, err error)
	}{
		{"UPnP IGD", upnp},
		{"NAT-PMP", pmp},
	}
	all := make([]natprobe.Gateway, len(protocols))
	var work sync.WaitGroup
	for i, p := range protocols {
		work.Go(func() {
			began := time.Now()
			at, external, err := p.ask(ctx)
			g := natprobe.Gateway{Protocol: p.name, At: at, External: external.Unmap(), Took: time.Since(began)}
			if err != nil {
				g.External, g.Took, g.Text = netip.Addr{}, 0, "no answer"
			}
			all[i] = g
		})
	}
	work.Wait()
	return all
}

// pmp asks the default router (RFC 6886 section 3.2).
func pmp(ctx context.Context) (at string, external netip.Addr, err error) {
	router, err := defaultroute.DiscoverGateway()
	if err != nil {
		return "", netip.Addr{}, err
	}
	deadline, _ := ctx.Deadline() // Ask set one
	answer, err := natpmp.NewClientWithTimeout(router, time.Until(deadline)).GetExternalAddress()
	if err != nil {
		return router.String(), netip.Addr{}, err
	}
	return router.String(), netip.AddrFrom4(answer.ExternalIPAddress), nil
}

// connection is what the services of UPnP that know the outside address share.
type connection interface {
	GetExternalIPAddressCtx(ctx context.Context) (string, error)
}

// upnp asks whatever Internet gateway device answers to multicast.
func upnp(ctx context.Context) (at string, external netip.Addr, err error) {
	connections, err := discover(ctx)
	for _, c := range connections {
		text, failed := c.GetExternalIPAddressCtx(ctx)
		if failed != nil {
			err = failed
			continue
		}
		if external, err = netip.ParseAddr(text); err == nil {
			return "", external, nil
		}
	}
	if err == nil {
		err = net.ErrClosed // nobody is there
	}
	return "", netip.Addr{}, err
}

// discover looks for all three services at once: which one there is depends on the
// router's age, and on its line.
func discover(ctx context.Context) ([]connection, error) {
	var mu sync.Mutex
	var found []connection
	var failed error
	add := func(some []connection, err error) {
		mu.Lock()
		defer mu.Unlock()
		found = append(found, some...)
		if err != nil {
			failed = err
		}
	}
	var work sync.WaitGroup
	work.Go(func() {
		c, _, err := internetgateway2.NewWANIPConnection2ClientsCtx(ctx)
		add(each(c), err)
	})
	work.Go(func() {
		c, _, err := internetgateway2.NewWANIPConnection1ClientsCtx(ctx)
		add(each(c), err)
	})
	work.Go(func() {
		c, _, err := internetgateway2.NewWANPPPConnection1ClientsCtx(ctx)
		add(each(c), err)
	})
	work.Wait()
	if len(found) > 0 {
		failed = nil
	}
	return found, failed
}

func each[T connection](clients []T) []connection {
	all := make([]connection, 0, len(clients))
	for _, c := range clients {
		all = append(all, c)
	}
	return all
}
