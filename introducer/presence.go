package introducer

import (
	"fmt"
	"time"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
)

// A name belongs to the session that registered it first, for as long as that
// lives. A later one is refused, but for two cases in which the first is a ghost:
// it is an older session of the same peer ID, or it has been silent for
// deadAfter times as long as it was told to be at most. Peer IDs are new for
// each NetConnection of most clients, so one that lost its network could not have
// its own name back for minutes otherwise.
const deadAfter = 3

// Each change of a name is a message to all who watch it.
const (
	registerRate  = 2
	registerBurst = 20
)

// DefaultTenant is that of clients whose URI names none.
const DefaultTenant = "default"

// presence is the names of one tenant, made when needed.
func (n *Node) presence(tenant string) *names {
	b := n.tenants[tenant]
	if b == nil {
		b = new(names)
		n.tenants[tenant] = b
	}
	return b
}

// register gives p a name and tells those who watch it.
func (n *Node) register(p *Peer, name string) *callError {
	now := p.session.Engine().Now()
	if !p.session.Far().HasStaticKey() {
		return &callError{codeUnproven, "a name needs a peer ID, and this session's certificate proves none"}
	}
	if !p.registers.Take(now, registerRate, registerBurst) {
		return &callError{codeTooFast, "names change too often; wait some seconds"}
	}
	dead := func(h *Peer) bool { return now.Sub(h.session.Heard()) > deadAfter*h.keepalives.node }
	b := n.presence(p.tenant)
	held := b.holders[name]
	previous, err := b.register(p, name, dead)
	switch {
	case err != nil:
		n.forgetTenant(p.tenant)
		return err
	case held == p:
		return nil
	}
	n.stats.NamesRegistered++
	n.log.event(now, eventName, "peer", p.ID().String(), "name", name, "tenant", p.tenant)
	if previous == nil {
		n.tell(b, name, NameCame, p)
		return nil
	}
	// It may hear of it, if it is not dead after all.
	_ = previous.conn.Status("status", codeLost, fmt.Sprintf("The name %q has passed to another session.", name),
		amf.Member{Name: "name", Value: amf.String(name)})
	n.tell(b, name, NamePassed, p)
	return nil
}

// leave takes everything of p's out of presence.
func (n *Node) leave(p *Peer) {
	b := n.tenants[p.tenant]
	if b == nil {
		return
	}
	for len(p.watches) > 0 {
		b.unwatch(p, p.watches[0])
	}
	for len(p.names) > 0 {
		n.release(b, p, p.names[0])
	}
	n.forgetTenant(p.tenant)
}

func (n *Node) release(b *names, p *Peer, name string) bool {
	if !b.release(p, name) {
		return false
	}
	n.tell(b, name, NameWent, p)
	return true
}

// forgetTenant keeps no table for tenants without presence: who connects may
// make up any number of them.
func (n *Node) forgetTenant(tenant string) {
	if b := n.tenants[tenant]; b != nil && b.empty() {
		delete(n.tenants, tenant)
	}
}

// tell sends those who watch a name the event onPresence.
func (n *Node) tell(b *names, name string, change Change, p *Peer) {
	if n.cfg.Observe != nil {
		n.emit(Event{Kind: NameChanged, At: p.session.Engine().Now(), Peer: p.Info(), Name: name, Change: change})
	}
	for _, w := range b.watchers[name] {
		info := append(holding(name, p), amf.Member{Name: "event", Value: amf.String(change)})
		if w.conn.Send("onPresence", info) != nil {
			n.stats.PresenceLost++ // its queue is full, or it is about to go
			continue
		}
		n.stats.PresenceTold++
	}
}

// holding is a name and whose it is.
func holding(name string, p *Peer) amf.Object {
	return amf.Object{
		{Name: "name", Value: amf.String(name)},
		{Name: "peerID", Value: amf.String(p.ID().String())},
	}
}

// NamedPeer is a name and whose it is.
type NamedPeer struct {
	Name  string
	ID    flash.PeerID
	Since time.Time // the peer connected
}

// Lookup finds the peer of that name.
func (n *Node) Lookup(tenant, name string) (p NamedPeer, found bool) {
	if b := n.tenants[tenant]; b != nil {
		if h := b.holders[name]; h != nil {
			return NamedPeer{name, h.ID(), h.since}, true
		}
	}
	return NamedPeer{}, false
}

// Names lists names of a tenant that have a prefix and come after another, in
// order: a hundred at most, and whether there are more.
func (n *Node) Names(tenant, prefix, after string) (list []NamedPeer, more bool) {
	b := n.tenants[tenant]
	if b == nil {
		return nil, false
	}
	page, more := b.page(prefix, after)
	for _, name := range page {
		h := b.holders[name]
		list = append(list, NamedPeer{name, h.ID(), h.since})
	}
	return list, more
}
