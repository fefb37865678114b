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
func (n *Node) rpcRegister(p *Peer, args amf.Args) (amf.Value, *callError) {
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
func (n *Node) rpcUnregister(p *Peer, args amf.Args) (amf.Value, *callError) {
	name, err := nameArgument("presence.unregister", args)
	if err != nil {
		return nil, err
	}
	b := n.tenants[p.tenant]
	if b == nil || !n.release(b, p, name) {
		return nil, &callError{codeNotFound, "this session does not have that name"}
	}
	n.forgetTenant(p.tenant)
	return holding(name, p), nil
}

// rpcLookup: presence.lookup(name) → {name, peerID}.
func (n *Node) rpcLookup(p *Peer, args amf.Args) (amf.Value, *callError) {
	name, err := nameArgument("presence.lookup", args)
	if err != nil {
		return nil, err
	}
	if b := n.tenants[p.tenant]; b != nil && b.holders[name] != nil {
		return holding(name, b.holders[name]), nil
	}
	return nil, &callError{codeNotFound, "nobody here has that name"}
}

// rpcList: presence.list([prefix [, after]]) → {names: [{name, peerID}], more}.
// Where there are more, the last name is the next call's after.
func (n *Node) rpcList(p *Peer, args amf.Args) (amf.Value, *callError) {
	var texts [2]string
	for i := range texts {
		if s, ok := args.String(i); ok {
			texts[i] = s
		} else if !amf.IsNull(args.At(i)) {
			return nil, badArguments("presence.list takes a prefix and the name to go on after, both strings, both optional")
		}
	}
	list := amf.Array{}
	more := false
	if b := n.tenants[p.tenant]; b != nil {
		var page []string
		page, more = b.page(texts[0], texts[1])
		for _, name := range page {
			list = append(list, holding(name, b.holders[name]))
		}
	}
	return amf.Object{{Name: "names", Value: list}, {Name: "more", Value: amf.Boolean(more)}}, nil
}

// rpcWatch: presence.watch(name) → {name, peerID}, peerID null while nobody has
// the name. From then on each change is an event, onPresence({name, peerID,
// event}) with event "came", "changed" (now another session's) or "went".
func (n *Node) rpcWatch(p *Peer, args amf.Args) (amf.Value, *callError) {
	name, err := nameArgument("presence.watch", args)
	if err != nil {
		return nil, err
	}
	b := n.presence(p.tenant)
	if err := b.watch(p, name); err != nil {
		n.forgetTenant(p.tenant)
		return nil, err
	}
	if h := b.holders[name]; h != nil {
		return holding(name, h), nil
	}
	return amf.Object{{Name: "name", Value: amf.String(name)}, {Name: "peerID", Value: amf.Null{}}}, nil
}

// rpcUnwatch: presence.unwatch(name) → {name}.
func (n *Node) rpcUnwatch(p *Peer, args amf.Args) (amf.Value, *callError) {
	name, err := nameArgument("presence.unwatch", args)
	if err != nil {
		return nil, err
	}
	if b := n.tenants[p.tenant]; b != nil {
		b.unwatch(p, name)
		n.forgetTenant(p.tenant)
	}
	return amf.Object{{Name: "name", Value: amf.String(name)}}, nil
}

func nameArgument(of string, args amf.Args) (string, *callError) {
	name, ok := args.String(0)
	if !ok {
		return "", badArguments(of + " takes a name, a string")
	}
	return name, nil
}
