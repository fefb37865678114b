package introducer

import (
	"bytes"
	"slices"
	"time"

	"pileus/introducer/group"
	"pileus/natprobe"
	"pileus/rtmfp"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/share"
)

const (
	// healEvery and healMembers pace healing: so many members, of all groups,
	// are told of others each time.
	healEvery   = time.Second
	healMembers = 64

	// groupBuffer is what waits on a flow of a member, in bytes of memory: some forty
	// neighbours, of whom one is told again.
	groupBuffer = 8 << 10
)

// groupMetadata is that of flows by which clients join groups: behind the option's
// length and type, so that Flash's option is 03 00 47 43.
var groupMetadata = []byte("GC")

func isGroup(metadata []byte) bool { return bytes.Equal(metadata, groupMetadata) }

// Alive implements group.Member: a client that has gone quiet may be gone.
func (p *Peer) Alive() bool {
	return p.session.Open() && p.session.Engine().Now().Sub(p.session.Heard()) < quietAfter
}

// quietAfter is above the silence of every client that is there: they are told to
// send keepalives at 15 s at the latest.
const quietAfter = 40 * time.Second

// Restricted implements group.Member.
func (p *Peer) Restricted() bool {
	return p.behavior != nil && p.behavior.BlockedRoutes.Answer == natprobe.Yes
}

// membership is a client in a group, and the flows that say so.
type membership struct {
	node *Node
	peer *Peer
	key  group.Key
	in   *flow.RecvFlow
	out  *flow.SendFlow // nil: it has not said which group
	// counts: it is one of those of the node.
	counts bool
}

// joins takes the flow on which a client joins a group. It ends with the flow.
func (n *Node) joins(s *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	p := n.peers[s.PeerID()]
	switch {
	case p == nil || p.session != s:
		return flow.Accept{}, n.refuseGroup(GroupNoClient)
	case len(p.memberships) >= group.MaxJoined:
		return flow.Accept{}, n.refuseGroup(GroupJoined)
	}
	m := &membership{node: n, peer: p, in: f}
	p.memberships = append(p.memberships, m)
	return flow.Accept{Receiver: m, Capacity: groupBuffer}, nil
}

// Message implements flow.Receiver.
func (m *membership) Message(f *flow.RecvFlow, message []byte) {
	n := m.node
	id, err := group.ParseJoin(message)
	if m.out != nil || err != nil {
		n.stats.GroupRefused[GroupMalformed]++
		return
	}
	m.key = group.Key{Tenant: m.peer.tenant, ID: id}
	if refusal, ok := m.enter(); !ok {
		m.reject(refusal)
		return
	}
	if m.out, err = m.peer.session.OpenFlow(groupMetadata, flow.SendOptions{ReturnOf: f, Buffer: groupBuffer}); err != nil {
		m.leave()
		return
	}
	tell := n.groups.Join(m.key, m.peer, m.peer.Addr().Addr())
	n.acquaint(m.key, tell)
	if n.healing == nil {
		n.healLater(m.peer.session.Engine())
	}
}

// enter has the membership count, and a group that it makes, or says why there is no room.
func (m *membership) enter() (GroupRefusal, bool) {
	n, p := m.node, m.peer
	if why := n.take(p, SharedMemberships); why != flow.Granted {
		return refusalOf(why, GroupNode), false
	}
	m.counts = true
	if n.groups.Has(m.key) {
		return 0, true
	}
	r, maker := n.realm(p.tenant), new(share.Holder)
	if why := maker.Take(r.ledger, p.Addr().Addr(), SharedGroups.ofTenant()); why != flow.Granted {
		n.forgetTenant(p.tenant)
		return refusalOf(why, GroupTenant), false
	}
	r.makers[m.key.ID] = maker
	return 0, true
}

func refusalOf(why flow.Refusal, limit GroupRefusal) GroupRefusal {
	if why == flow.OverShare {
		return GroupShare
	}
	return limit
}

// forgetGroup is for a group that may have had its last member.
func (n *Node) forgetGroup(k group.Key) {
	if n.groups.Has(k) {
		return
	}
	if r := n.tenants[k.Tenant]; r != nil && r.makers[k.ID] != nil {
		r.makers[k.ID].Give(SharedGroups.ofTenant())
		delete(r.makers, k.ID)
		n.forgetTenant(k.Tenant)
	}
}

// reject ends the flow of a client that cannot join.
func (m *membership) reject(r GroupRefusal) {
	m.in.Reject(m.node.refuseGroup(r).Code)
	m.leave()
}

// Ended implements flow.Receiver.
func (m *membership) Ended(*flow.RecvFlow, error) { m.leave() }

func (m *membership) leave() {
	i := slices.Index(m.peer.memberships, m)
	if i < 0 {
		return
	}
	m.peer.memberships = slices.Delete(m.peer.memberships, i, i+1)
	if m.counts {
		m.counts = false
		m.node.give(m.peer, SharedMemberships)
	}
	if m.out != nil {
		m.out.Close()
		// A client may have joined twice.
		if m.peer.member(m.key) == nil {
			m.node.groups.Leave(m.key, m.peer)
		}
	}
	m.node.forgetGroup(m.key)
}

// member is p's membership in a group; nil: none.
func (p *Peer) member(k group.Key) *membership {
	for _, m := range p.memberships {
		if m.out != nil && m.key == k {
			return m
		}
	}
	return nil
}

// acquaint sends what is to be told.
func (n *Node) acquaint(k group.Key, tell []group.Telling[*Peer]) {
	for _, t := range tell {
		if m := t.To.member(k); m != nil {
			n.stats.Neighbors++
			_ = m.out.Write(group.AppendNeighbor(nil, t.Of.ID()), flow.WriteOptions{}) // full: it reads nothing
		}
	}
}

// healLater acquaints members anew, again and again for as long as there are
// groups.
func (n *Node) healLater(e *rtmfp.Engine) {
	n.healing = e.After(healEvery, func() {
		n.healing = nil
		for k, tell := range n.groups.Heal(healMembers) {
			n.acquaint(k, tell)
		}
		if !n.groups.Empty() {
			n.healLater(e)
		}
	})
}

// leaveGroups takes a peer that goes out of all.
func (p *Peer) leaveGroups() {
	for len(p.memberships) > 0 {
		p.memberships[0].leave()
	}
}

// GroupInfo is a group with members here.
type GroupInfo struct {
	group.Key
	Members int
}

// GroupInfos lists groups from a place on, so many at most, and tells where to go on; 0:
// that was all. Groups that come and go meanwhile may be left out, or be there twice.
func (n *Node) GroupInfos(from, most int) (list []GroupInfo, next int) {
	next = n.groups.Page(from, most, func(k group.Key, members int) { list = append(list, GroupInfo{k, members}) })
	return list, next
}
