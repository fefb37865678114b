package main

import (
	"net/netip"
	"sync"

	"pileus/introducer"
)

// trustedAddrs are those of the candidates for alternates that clients have shown to be
// such, by outside name.
type trustedAddrs struct {
	mu   sync.Mutex
	list map[netip.Addr]bool
	news chan struct{}
}

// judged is introducer.Config.Judged.
func (n *node) judged(outside netip.Addr, t introducer.Trust) {
	switch t {
	case introducer.Trusted:
		n.log.Info("a second address of this machine answers clients, and is used as alternate", "address", outside)
	case introducer.SetAside:
		n.log.Warn("a second address of this machine answers no client, and is set aside; is its port open? alternate names one, probe.find_alternate: false tries none", "address", outside)
	case introducer.OnTrial:
	}
	n.trusted.mu.Lock()
	defer n.trusted.mu.Unlock()
	if n.trusted.list == nil {
		n.trusted.list = make(map[netip.Addr]bool)
	}
	n.trusted.list[outside] = t == introducer.Trusted
	select {
	case n.trusted.news <- struct{}{}: // those who name addresses to others hear of it
	default:
	}
}

// has reports whether an address may be named to clients as an alternate.
func (t *trustedAddrs) has(outside netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list[outside]
}

// forget begins anew with an address that went.
func (t *trustedAddrs) forget(outside netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.list, outside)
}
