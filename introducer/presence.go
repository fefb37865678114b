package introducer

import (
	"fmt"
	"net/netip"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
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
	r := n.realm(p.tenant)
	held := r.holder(name)
	previous, err := r.register(p, name, dead)
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
		n.tell(r, name, NameCame, p)
		return nil
	}
	// It may hear of it, if it is not dead after all.
	_ = previous.conn.Status("status", codeLost, fmt.Sprintf("The name %q has passed to another session.", name),
		amf.Member{Name: "name", Value: amf.String(name)})
	n.tell(r, name, NamePassed, p)
	return nil
}

// leave takes everything of p's out of presence.
func (n *Node) leave(p *Peer) {
	r := n.tenants[p.tenant]
	if r == nil {
		return
	}
	for name := range p.watches {
		r.unwatch(p, name)
	}
	for len(p.names) > 0 {
		n.release(r, p, p.names[len(p.names)-1])
	}
	n.forgetTenant(p.tenant)
}

func (n *Node) release(r *realm, p *Peer, name string) bool {
	if !r.release(p, name) {
		return false
	}
	n.tell(r, name, NameWent, p)
	return true
}

// tell sends those who watch a name the event onPresence. What changes again while they
// are being told is told when they have been: the latest state counts.
func (n *Node) tell(r *realm, name string, change Change, p *Peer) {
	if n.cfg.Observe != nil {
		n.emit(Event{Kind: NameChanged, At: p.session.Engine().Now(), Peer: p.Info(), Name: name, Change: change})
	}
	w := r.watched[name]
	switch {
	case w == nil:
	case w.telling:
		w.again = true
	default:
		n.tellAll(r, w, p.session.Engine(), presenceEvent{name, change, p.ID(), p.Addr().Addr()})
	}
}

// presenceEvent is what watchers are told.
type presenceEvent struct {
	name   string
	change Change
	id     flash.PeerID // who has the name, or had it
	by     netip.Addr
}

func (n *Node) tellAll(r *realm, w *watchedName, e *rtmfp.Engine, event presenceEvent) {
	if w.told = event.id; event.change == NameWent {
		w.told = flash.PeerID{}
	}
	w.telling = true
	info := append(nameInfo(event.name, event.id), amf.Member{Name: "event", Value: amf.String(event.change)})
	message, walk := netconn.Encode("onPresence", info), w.walk()
	n.spread(&n.spreads, e, event.by, &spread{bytes: cost(message.Len()), step: func() bool {
		s := walk.step()
		if s == nil {
			walk.end()
			n.toldAll(r, w, e, event)
			return false
		}
		if s.who.conn.SendEncoded(message) != nil {
			n.stats.PresenceLost++ // its queue is full, or it is about to go
		} else {
			n.stats.PresenceTold++
		}
		return true
	}})
}

// toldAll tells what has changed since.
func (n *Node) toldAll(r *realm, w *watchedName, e *rtmfp.Engine, last presenceEvent) {
	w.telling = false
	if w.len() == 0 {
		delete(r.watched, last.name)
		n.forgetTenant(r.name)
		return
	}
	if !w.again {
		return
	}
	w.again = false
	next, had := last, w.told
	h := r.holder(last.name)
	switch {
	case h == nil && had == flash.PeerID{}, h != nil && had == h.ID():
		return
	case h == nil:
		next.id, next.change = had, NameWent
	case had == flash.PeerID{}:
		next.id, next.change = h.ID(), NameCame
	default:
		next.id, next.change = h.ID(), NamePassed
	}
	n.tellAll(r, w, e, next)
}

// holding is a name and whose it is.
func holding(name string, p *Peer) amf.Object { return nameInfo(name, p.ID()) }

func nameInfo(name string, id flash.PeerID) amf.Object {
	return amf.Object{
		{Name: "name", Value: amf.String(name)},
		{Name: "peerID", Value: amf.String(id.String())},
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
	if r := n.tenants[tenant]; r != nil {
		if h := r.holder(name); h != nil {
			return NamedPeer{name, h.ID(), h.since}, true
		}
	}
	return NamedPeer{}, false
}

// Names lists names of a tenant that have a prefix and come after another, in
// order: a hundred at most, and whether there are more.
func (n *Node) Names(tenant, prefix, after string) (list []NamedPeer, more bool) {
	if r := n.tenants[tenant]; r != nil {
		return r.page(prefix, after)
	}
	return nil, false
}
