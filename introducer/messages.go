package introducer

import (
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/share"
	"pileus/rtmfp/udp"
)

// Messages through the node are for words between clients; what is much belongs on a
// session between them. What is limited is what they cost: a message counts as it is
// written out to who gets it.

// What a message may grow by: what references and other forms of AMF make of it.
const (
	growth = 4       // times what came in
	slack  = 1 << 10 // and so many bytes, for what the node adds
)

const (
	codeNoPeer   = "Pileus.Call.NotFound"
	codeTooLarge = "Pileus.Call.TooLarge"
)

// MessageRefusal is why a message between clients was not passed on.
type MessageRefusal uint8

// The refusals. The set is closed: each is a counter.
const (
	MessageTooLarge  MessageRefusal = iota // as written out
	MessageSender                          // its sender has used up its rate
	MessageReceiver                        // others have used up that of its receiver
	MessageNode                            // the node's rate is used up, or its sender's share of it
	MessageBroadcast                       // too many broadcasts are on their way
	MessageUnread                          // its receiver does not read
	NumMessageRefusals
)

var messageRefusals = [NumMessageRefusals]string{"too_large", "sender", "receiver", "node", "broadcasts", "unread"}

// String is the refusal as a label of metrics.
func (r MessageRefusal) String() string { return messageRefusals[r] }

var messageErrors = [NumMessageRefusals]callError{
	{codeTooLarge, "too large: a message counts as it is written out to who gets it, references and all"},
	{codeTooFast, "too many or too large messages in a short time; wait some seconds"},
	{codeTooFast, "that peer gets as much as it may from others; wait some seconds"},
	{codeTooFast, "this node passes on as much as it may; wait some seconds"},
	{codeTooFast, "too many broadcasts are on their way; wait some seconds"},
	{codeTooFast, "that peer does not read what it gets"},
}

func (n *Node) refuse(r MessageRefusal) *callError {
	n.stats.MessageRefused[r]++
	return &messageErrors[r]
}

// messenger is what a peer has to do with messages through the node.
type messenger struct {
	sends udp.Bucket  // bytes that it makes the node send
	gets  share.Meter // bytes that others make the node send it
	room  *seat[*Peer]
	// those of whom it wants to hear when they go
	follows map[followed]*seat[*Peer]
}

// sender is who sent a message, as clients of the reference server know it.
func (p *Peer) sender() amf.Object {
	o := amf.Object{{Name: "sender", Value: amf.String(p.ID().String())}}
	if len(p.names) > 0 {
		o = append(o, amf.Member{Name: "senderName", Value: amf.String(p.names[0])})
	}
	return o
}

// onRelay is a message of p's as others get it, unless it is too large for its own size:
// it is measured before it is built.
func (n *Node) onRelay(p *Peer, values amf.Args, size int) (netconn.Command, int, *callError) {
	c := netconn.Command{Name: "onRelay", Args: append(amf.Args{p.sender()}, values...)}
	most := growth*size + slack
	if n.limits.Message > 0 {
		most = min(most, n.limits.Message)
	}
	length := c.Len(most)
	if length > most {
		return c, 0, n.refuse(MessageTooLarge)
	}
	return c, cost(length), nil
}

// maySend reports whether p may make the node do anything more that costs bytes.
func (n *Node) maySend(p *Peer) bool {
	r := n.senderRate()
	return r.PerSecond == 0 || p.messenger.sends.Spent(p.session.Engine().Now(), r.PerSecond) < r.Burst
}

// rpcRelay: relay(peerID, values…); that peer gets onRelay({sender, senderName},
// values…).
func (n *Node) rpcRelay(p *Peer, args call) (amf.Value, *callError) {
	target, err := n.addressee("relay", p, args)
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, &callError{codeNoPeer, "no such peer is connected"}
	}
	if !n.maySend(p) {
		return nil, n.refuse(MessageSender)
	}
	message, bytes, err := n.onRelay(p, args.From(1), args.size)
	if err != nil {
		return nil, err
	}
	now := p.session.Engine().Now()
	if n.sent.Take(now, p.Addr(), float64(bytes), n.nodeRate()) != flow.Granted {
		return nil, n.refuse(MessageNode)
	}
	if target.messenger.gets.Take(now, p.Addr(), float64(bytes), n.receiverRate()) != flow.Granted {
		return nil, n.refuse(MessageReceiver)
	}
	p.messenger.sends.Spend(float64(bytes))
	if target.conn.Send(message.Name, message.Args...) != nil {
		return nil, n.refuse(MessageUnread)
	}
	n.stats.Messages++
	return amf.Null{}, nil
}

// roomKey is an application of a tenant.
type roomKey struct{ tenant, app string }

// enterRoom has p be told what is told to all clients of its application.
func (n *Node) enterRoom(p *Peer) {
	k := roomKey{p.tenant, p.app}
	r := n.rooms[k]
	if r == nil {
		r = new(audience[*Peer])
		n.rooms[k] = r
	}
	p.messenger.room, p.listed = r.come(p), n.everybody.come(p)
}

func (n *Node) leaveRoom(p *Peer) {
	r := n.rooms[roomKey{p.tenant, p.app}]
	p.messenger.room.leave()
	p.listed.leave()
	if r != nil && r.len() == 0 {
		delete(n.rooms, roomKey{p.tenant, p.app})
	}
}

// rpcBroadcast: broadcast(values…); every client of the application gets onRelay,
// the sender too. Its bytes are paid for by its sender before anybody gets it.
func (n *Node) rpcBroadcast(p *Peer, args call) (amf.Value, *callError) {
	if !n.maySend(p) {
		return nil, n.refuse(MessageSender)
	}
	command, bytes, err := n.onRelay(p, args.Args, args.size)
	if err != nil {
		return nil, err
	}
	room := n.rooms[roomKey{p.tenant, p.app}]
	if room == nil {
		return amf.Null{}, nil // nobody of it can be found
	}
	if n.take(p, SharedBroadcasts) != flow.Granted {
		return nil, n.refuse(MessageBroadcast)
	}
	p.messenger.sends.Spend(float64(bytes) * float64(room.len()))
	message, walk := netconn.Encode(command.Name, command.Args...), room.walk()
	from, e := p.Addr(), p.session.Engine()
	n.spread(&n.spreads, e, from.Addr(), &spread{bytes: bytes, step: func() bool {
		s := walk.step()
		if s == nil {
			walk.end()
			n.give(p, SharedBroadcasts)
			return false
		}
		to := s.who
		switch {
		case to.messenger.gets.Take(e.Now(), from, float64(bytes), n.receiverRate()) != flow.Granted:
			n.stats.MessageRefused[MessageReceiver]++
		case to.conn.SendEncoded(message) != nil:
			n.stats.MessageRefused[MessageUnread]++
		default:
			n.stats.Messages++
		}
		return true
	}})
	return amf.Null{}, nil
}

// addressee is the peer that a call names; nil: it is not here, or another
// tenant's.
func (n *Node) addressee(of string, p *Peer, args call) (*Peer, *callError) {
	text, ok := args.String(0)
	id, err := flash.ParsePeerID(text)
	if !ok || err != nil {
		return nil, badArguments(of + " takes a peer ID, 64 hexadecimal digits")
	}
	if t := n.peers[id]; t != nil && t.tenant == p.tenant {
		return t, nil
	}
	return nil, nil
}
