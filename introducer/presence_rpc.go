package introducer

import (
	"pileus/rtmfp/amf"
	"pileus/rtmfp/netconn"
)

// nameFromConnect registers the name that a token grants, or the name that a client brings as an argument of its
// connect. One that cannot be had does not end the connection: an event says so,
// and the client may ask for another.
func (n *Node) nameFromConnect(p *Peer, r netconn.Request, granted string) {
	name, ok := granted, granted != ""
	if !ok && n.cfg.NameArg > 0 {
		name, ok = r.Args.String(n.cfg.NameArg - 1)
	}
	if !ok || name == "" {
		return
	}
	if err := n.register(p, name); err != nil {
		_ = p.conn.Status("error", err.code, err.text, amf.Member{Name: "name", Value: amf.String(clip(name))})
	}
}

// rpcRegister: presence.register(name) → {name, peerID}.
func (n *Node) rpcRegister(p *Peer, args call) (amf.Value, *callError) {
	name, err := nameArgument("presence.register", args)
	if err != nil {
		return nil, err
	}
	if err := n.register(p, name); err != nil {
		return nil, err
	}
	return holding(name, p), nil
}

// rpcUnregister: presence.unregister(name) → {name, peerID}.
func (n *Node) rpcUnregister(p *Peer, args call) (amf.Value, *callError) {
	name, err := nameArgument("presence.unregister", args)
	if err != nil {
		return nil, err
	}
	r := n.tenants[p.tenant]
	if r == nil || !n.release(r, p, name) {
		return nil, &callError{codeNotFound, "this session does not have that name"}
	}
	n.forgetTenant(p.tenant)
	return holding(name, p), nil
}

// rpcLookup: presence.lookup(name) → {name, peerID}.
func (n *Node) rpcLookup(p *Peer, args call) (amf.Value, *callError) {
	name, err := nameArgument("presence.lookup", args)
	if err != nil {
		return nil, err
	}
	if h, found := n.Lookup(p.tenant, name); found {
		return nameInfo(name, h.ID), nil
	}
	return nil, &callError{codeNotFound, "nobody here has that name"}
}

// rpcList: presence.list([prefix [, after]]) → {names: [{name, peerID}], more}.
// Where there are more, the last name is the next call's after.
func (n *Node) rpcList(p *Peer, args call) (amf.Value, *callError) {
	var texts [2]string
	for i := range texts {
		if s, ok := args.String(i); ok {
			texts[i] = s
		} else if !amf.IsNull(args.At(i)) {
			return nil, badArguments("presence.list takes a prefix and the name to go on after, both strings, both optional")
		}
	}
	page, more := n.Names(p.tenant, texts[0], texts[1])
	list := make(amf.Array, len(page))
	for i, named := range page {
		list[i] = nameInfo(named.Name, named.ID)
	}
	result := amf.Object{{Name: "names", Value: list}, {Name: "more", Value: amf.Boolean(more)}}
	// A short question brings a long answer.
	p.messenger.sends.Spent(p.session.Engine().Now(), n.senderRate().PerSecond)
	p.messenger.sends.Spend(float64(cost(amf.Size(maxListPage*maxListed, result))))
	return result, nil
}

// maxListed is above what one name of a list takes, in bytes.
const maxListed = 256

// rpcWatch: presence.watch(name) → {name, peerID}, peerID null while nobody has
// the name. From then on each change is an event, onPresence({name, peerID,
// event}) with event "came", "changed" (now another session's) or "went".
func (n *Node) rpcWatch(p *Peer, args call) (amf.Value, *callError) {
	name, err := nameArgument("presence.watch", args)
	if err != nil {
		return nil, err
	}
	r := n.realm(p.tenant)
	if err := r.watch(p, name); err != nil {
		n.forgetTenant(p.tenant)
		return nil, err
	}
	if h := r.holder(name); h != nil {
		return holding(name, h), nil
	}
	return amf.Object{{Name: "name", Value: amf.String(name)}, {Name: "peerID", Value: amf.Null{}}}, nil
}

// rpcUnwatch: presence.unwatch(name) → {name}.
func (n *Node) rpcUnwatch(p *Peer, args call) (amf.Value, *callError) {
	name, err := nameArgument("presence.unwatch", args)
	if err != nil {
		return nil, err
	}
	if r := n.tenants[p.tenant]; r != nil {
		r.unwatch(p, name)
		n.forgetTenant(p.tenant)
	}
	return amf.Object{{Name: "name", Value: amf.String(name)}}, nil
}

func nameArgument(of string, args call) (string, *callError) {
	name, ok := args.String(0)
	if !ok {
		return "", badArguments(of + " takes a name, a string")
	}
	return name, nil
}
