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
	"net/netip"
	"slices"

	"pileus/rtmfp/share"
	"pileus/rtmfp/wire"
)

const (
	// tellNewcomer is how many members a newcomer is told of, tellMembers how
	// many members are told of it: enough for a mesh that does not fall apart.
	tellNewcomer = 8
	tellMembers  = 3
	// tellHealing is how many others a member is told of when its turn comes, and
	// healAtOnce how many members of one group have theirs in a row.
	tellHealing = 2
	healAtOnce  = 8

	// MaxJoined is how many groups one peer may be in. (How many members all groups have
	// is for whoever has the table to bound: a group without members is none.)
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
	all    []*members[M] // in no order
	// turns is of groups with two members or more, for healing: by where the first member
	// was, so that nobody's groups keep those of others waiting.
	turns share.Queue[*members[M]]
}

type members[M Member] struct {
	key   Key
	place int        // in Table.all
	from  netip.Addr // of its first member
	list  []M
	index map[M]int
	turn  *share.Waiting[*members[M]] // nil: it has fewer than two members
	at    int                         // the next member whose turn it is
}

// Page calls f for groups from a place on, so many at most, with how many members each has,
// and tells where to go on; 0: that was all.
func (t *Table[M]) Page(from, most int, f func(k Key, members int)) (next int) {
	for i := from; i < len(t.all); i++ {
		if i-from == most {
			return i
		}
		f(t.all[i].key, len(t.all[i].list))
	}
	return 0
}

// Empty tells whether there are no groups.
func (t *Table[M]) Empty() bool { return len(t.groups) == 0 }

// Has tells whether a group has members.
func (t *Table[M]) Has(k Key) bool { return t.groups[k] != nil }

// Join makes m, which is at addr, a member, and says who is to be told of whom.
func (t *Table[M]) Join(k Key, m M, addr netip.Addr) (tell []Telling[M]) {
	g := t.groups[k]
	if g == nil {
		if t.groups == nil {
			t.groups = make(map[Key]*members[M])
		}
		g = &members[M]{key: k, place: len(t.all), from: addr, index: make(map[M]int)}
		t.groups[k], t.all = g, append(t.all, g)
	}
	if _, already := g.index[m]; already {
		return nil
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
	if len(g.list) == 2 {
		g.turn = t.turns.Add(g.from, g)
	}
	return tell
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
	if last == 1 {
		t.turns.Remove(g.turn)
		g.turn = nil
	}
	if last == 0 {
		delete(t.groups, k)
		end := len(t.all) - 1
		t.all[g.place] = t.all[end]
		t.all[g.place].place = g.place
		t.all[end] = nil
		t.all = t.all[:end]
	}
}

// Heal gives the next n members others to know: of a group some, then of the next.
func (t *Table[M]) Heal(n int) map[Key][]Telling[M] {
	tell := make(map[Key][]Telling[M])
	for n > 0 {
		w := t.turns.Next()
		if w == nil {
			break
		}
		g := w.Value
		for i := 0; i < healAtOnce && n > 0; i++ {
			if g.at >= len(g.list) {
				g.at = 0
				if i > 0 {
					break // all have had their turn
				}
			}
			g.heal(tell)
			n--
		}
		t.turns.Last(w)
	}
	return tell
}

// heal has the next member told of others, and others of it.
func (g *members[M]) heal(tell map[Key][]Telling[M]) {
	m := g.list[g.at]
	g.at++
	if !m.Alive() {
		return
	}
	for _, other := range g.some(m, tellHealing) {
		if !other.Restricted() {
			tell[g.key] = append(tell[g.key], Telling[M]{m, other})
		} else if !m.Restricted() {
			tell[g.key] = append(tell[g.key], Telling[M]{other, m})
		}
	}
}
