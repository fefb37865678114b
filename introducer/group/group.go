// Package group is the bootstrap of NetGroups: who is told of whom. The mesh
// itself is between the peers.
//
// A newcomer is told of some members, and some members of the newcomer; later
// every member is told of others now and then, so that a group that fell apart
// finds itself again. Who is told of a member opens the session; so nobody is told
// of one that is restricted.
package group

import (
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"

	"pileus/rtmfp/wire"
)

const (
	// tellNewcomer is how many members a newcomer is told of, tellMembers how
	// many members are told of it: enough for a mesh that does not fall apart.
	tellNewcomer = 8
	tellMembers  = 3
	// tellHealing is how many others a member is told of when its turn comes.
	tellHealing = 2

	// MaxGroups is how many groups a node knows, and MaxMembers how many members
	// one may have: a newcomer more is told nothing.
	MaxGroups  = 1 << 16
	MaxMembers = 1 << 14
	// MaxJoined is how many groups one peer may be in.
	MaxJoined = 32
)

// ID is SHA-256 of a groupspec.
type ID [sha256.Size]byte

// Key names a group: the same groupspec of two tenants is two groups.
type Key struct {
	Tenant string
	ID     ID
}

// Join messages of clients.
const (
	joinMessage = 0x01
	hashed      = 0x15
	groupspec   = 0x10
	neighbor    = 0x0b
)

// ErrJoin is a message that asks for no group.
var ErrJoin = errors.New("group: malformed join")

// ParseJoin reads a client's message: the hash of a groupspec or, from old
// clients, the groupspec.
func ParseJoin(message []byte) (ID, error) {
	if len(message) == 0 || message[0] != joinMessage {
		return ID{}, ErrJoin
	}
	n, rest, err := wire.ParseVLU(message[1:])
	if err != nil || n < 2 || uint64(len(rest)) < n {
		return ID{}, ErrJoin
	}
	body := rest[1:n]
	switch {
	case rest[0] == hashed && len(body) == len(ID{}):
		return ID(body), nil
	case rest[0] == groupspec:
		return sha256.Sum256(body), nil
	}
	return ID{}, ErrJoin
}

// AppendNeighbor appends the message that tells of a member.
func AppendNeighbor(b []byte, peer [32]byte) []byte { return append(append(b, neighbor), peer[:]...) }

// Member is a peer in a group.
type Member interface {
	comparable
	// Alive: it is worth telling of.
	Alive() bool
	// Restricted: it can send only to few ports, so it has to be the one who
	// opens sessions.
	Restricted() bool
}

// Telling is a message to be sent: To is told of Of.
type Telling[M Member] struct{ To, Of M }

// Table is all groups. Use it from one goroutine.
type Table[M Member] struct {
	groups map[Key]*members[M]
	turns  []Key // of groups, for healing
	at     int   // the next member of the group whose turn it is
}

type members[M Member] struct {
	list  []M
	index map[M]int
}

// Groups calls f for each group and how many members it has.
func (t *Table[M]) Groups(f func(k Key, members int)) {
	for k, g := range t.groups {
		f(k, len(g.list))
	}
}

// Empty tells whether there are no groups.
func (t *Table[M]) Empty() bool { return len(t.groups) == 0 }

// Len is how many groups a tenant has.
func (t *Table[M]) Len(tenant string) (n int) {
	for k := range t.groups {
		if k.Tenant == tenant {
			n++
		}
	}
	return n
}

// Has tells whether a group has members.
func (t *Table[M]) Has(k Key) bool { return t.groups[k] != nil }

// Join makes m a member and says who is to be told of whom. False: no room.
func (t *Table[M]) Join(k Key, m M) (tell []Telling[M], ok bool) {
	g := t.groups[k]
	if g == nil {
		if len(t.groups) >= MaxGroups {
			return nil, false
		}
		if t.groups == nil {
			t.groups = make(map[Key]*members[M])
		}
		g = &members[M]{index: make(map[M]int)}
		t.groups[k] = g
		t.turns = append(t.turns, k)
	}
	if _, already := g.index[m]; already {
		return nil, true
	}
	if len(g.list) >= MaxMembers {
		return nil, false
	}
	for i, other := range g.some(m, tellNewcomer) {
		if !other.Restricted() {
			tell = append(tell, Telling[M]{m, other})
		}
		if (i < tellMembers || other.Restricted()) && !m.Restricted() {
			tell = append(tell, Telling[M]{other, m})
		}
	}
	g.index[m] = len(g.list)
	g.list = append(g.list, m)
	return tell, true
}

// some are n members at random that are alive, without m.
func (g *members[M]) some(m M, n int) (list []M) {
	take := func(i int) {
		if o := g.list[i]; o != m && o.Alive() && !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	if len(g.list) <= 4*n {
		for _, i := range rand.Perm(len(g.list)) {
			if len(list) < n {
				take(i)
			}
		}
		return list
	}
	for range 4 * n {
		if len(list) < n {
			take(rand.IntN(len(g.list)))
		}
	}
	return list
}

// Leave takes m out.
func (t *Table[M]) Leave(k Key, m M) {
	g := t.groups[k]
	if g == nil {
		return
	}
	i, in := g.index[m]
	if !in {
		return
	}
	last := len(g.list) - 1
	g.list[i] = g.list[last]
	g.index[g.list[i]] = i
	clear(g.list[last:])
	g.list = g.list[:last]
	delete(g.index, m)
	if last == 0 {
		delete(t.groups, k) // its turn finds it gone
	}
}

// Heal gives the next n members, of one group after the other, others to know.
func (t *Table[M]) Heal(n int) map[Key][]Telling[M] {
	tell := make(map[Key][]Telling[M])
	for range n {
		for len(t.turns) > 0 && t.groups[t.turns[0]] == nil {
			t.turns, t.at = t.turns[1:], 0
		}
		if len(t.turns) == 0 {
			return tell
		}
		k := t.turns[0]
		g := t.groups[k]
		if t.at >= len(g.list) {
			t.turns, t.at = append(t.turns[1:], t.turns[0]), 0
			continue
		}
		m := g.list[t.at]
		t.at++
		if !m.Alive() {
			continue
		}
		for _, other := range g.some(m, tellHealing) {
			if !other.Restricted() {
				tell[k] = append(tell[k], Telling[M]{m, other})
			} else if !m.Restricted() {
				tell[k] = append(tell[k], Telling[M]{other, m})
			}
		}
	}
	return tell
}
