package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"pileus/configs"
	"pileus/rtmfp"
	"pileus/rtmfp/udp"
)

const (
	// retryMissing is how long it takes to try again what could not be opened at an
	// address that came.
	retryMissing = 10 * time.Second
	// changeTimeout bounds how long sockets may take to be handed over.
	changeTimeout = 10 * time.Second
)

// change is what became of the node's sockets when the machine's addresses changed.
type change struct{ came, went []netip.AddrPort }

// follow has the node serve the addresses that the machine has, until ctx ends.
func (n *node) follow(ctx context.Context) {
	look := func() {
		if _, err := n.look(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("the machine's addresses cannot be followed; what is served stays so", "error", err)
		}
	}
	retry := time.NewTicker(retryMissing)
	defer retry.Stop()
	news := make(chan struct{}, 1)
	var watcher crew
	watcher.start()
	watcher.add(func() {
		udp.WatchAddresses(ctx, func() {
			select {
			case news <- struct{}{}:
			default:
			}
		})
	})
	defer watcher.end()
	for {
		select {
		case <-news:
			look()
		case <-n.trusted.news:
			n.stun.responder.follow(n.sockets)
		case <-retry.C:
			if n.sockets.lacks() {
				look()
			}
		case <-ctx.Done():
			return
		}
	}
}

// look compares what is open with the addresses that the machine has now, and mends it.
// Who may be sent to is judged by them first.
func (n *node) look(ctx context.Context) (change, error) {
	n.looking.Lock()
	defer n.looking.Unlock()
	machine, err := udp.Addresses()
	if err != nil {
		return change{}, err
	}
	n.judge(machine)
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	var errs []error
	went := n.sockets.leave(machine)
	for _, a := range ips(addrsOf(went)) {
		n.trusted.forget(n.names.Outside(netip.AddrPortFrom(a, 0)).Addr())
	}
	if len(went) > 0 { // nobody is to wait for answers there
		errs = append(errs, n.retarget(ctx), n.takeBack(ctx, went))
	}
	came := n.sockets.join()
	if len(came) > 0 {
		errs = append(errs, n.give(ctx, came), n.retarget(ctx))
	}
	if len(came)+len(went) > 0 {
		n.judge(machine) // TURN's relays are bound to other addresses now
	}
	done := change{addrsOf(came), addrsOf(went)}
	n.tell(done)
	return done, errors.Join(errs...)
}

// judge tells those who send to peers what this machine is.
func (n *node) judge(machine []udp.Address) {
	own := n.sockets.addrs()
	if n.relay != nil {
		// A node on loopback alone is one to try things on.
		n.relay.guard.Follow(machine, !slices.ContainsFunc(own, func(a netip.Addr) bool { return !a.IsLoopback() }))
	}
	n.turn.server.Follow(machine, own)
	n.room()
}

// retarget tells those who name the node's sockets to others which there are.
func (n *node) retarget(ctx context.Context) error {
	n.stun.responder.follow(n.sockets)
	at := n.introducerSockets()
	return n.ask(ctx, func(*rtmfp.Engine) { n.intro.SetSockets(at) })
}

// give hands sockets that were opened to those who use them.
func (n *node) give(ctx context.Context, ports []*socket) error {
	var errs []error
	var relay []udp.Socket
	var clients []*socket
	for _, p := range ports {
		if p.Use == configs.UseRelay {
			relay = append(relay, p.packets)
		}
		if p.forClients() {
			clients = append(clients, p)
		}
	}
	if n.relay != nil && len(relay)+len(clients) > 0 {
		shared, err := twins(clients) // before the engine takes the sockets over
		errs = append(errs, err, n.relay.Add(ctx, relay, shared))
	}
	for _, p := range ports {
		if p.forEngine() {
			errs = append(errs, n.endpoint.Add(p.packets))
		} else {
			n.handOver(p)
		}
	}
	return errors.Join(errs...)
}

// handOver gives a socket to STUN or TURN.
func (n *node) handOver(p *socket) {
	if p.Use == configs.UseSTUN || p.Use == configs.UseTURN {
		n.stun.add(p)
	}
	if p.TURN || p.Use == configs.UseTURNStream || p.Use == configs.UseTURNTLS {
		n.turn.add(p)
	}
}

// takeBack closes sockets, each by the hands that have it.
func (n *node) takeBack(ctx context.Context, ports []*socket) error {
	var errs []error
	var relayed []netip.AddrPort
	for _, p := range ports {
		switch {
		case p.Use == configs.UseRelay || p.forClients():
			relayed = append(relayed, p.addr())
		case p.Use == configs.UseSTUN || p.Use == configs.UseTURN:
			n.stun.remove(p)
		}
		if p.TURN || p.stream != nil {
			n.turn.remove(p)
		}
		if p.forEngine() {
			errs = append(errs, n.endpoint.Remove(p.addr()))
		}
	}
	if n.relay != nil && len(relayed) > 0 {
		errs = append(errs, n.relay.Withdraw(ctx, relayed))
	}
	return errors.Join(errs...)
}

// tell says which addresses came and went.
func (n *node) tell(c change) {
	if len(c.came) > 0 {
		n.log.Info("an address of this machine came, and is served", "addresses", ips(c.came), "sockets", len(c.came))
	}
	if len(c.went) > 0 {
		n.log.Warn("an address of this machine went, and is served no longer", "addresses", ips(c.went), "sockets", len(c.went))
	}
}

// ips are the addresses of a list without their ports, each once.
func ips(list []netip.AddrPort) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range list {
		if !slices.Contains(addrs, a.Addr()) {
			addrs = append(addrs, a.Addr())
		}
	}
	return addrs
}
