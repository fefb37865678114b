package demo

import (
	"fmt"

	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/natprobe/lab"
)

// role is one peer of the play.
type role struct {
	name  string
	kind  string         // of lab.Kinds
	site  int            // peers of one number are neighbours behind one NAT
	class natprobe.Class // what the node has to find
}

// cast is everybody: six kinds of NATs, and two neighbours behind one of them.
var cast = []role{
	{"alice", "N2", 1, natprobe.FullCone},
	{"bob", "N3", 2, natprobe.AddressRestricted},
	{"carol", "N4", 3, natprobe.PortRestricted},
	{"carlos", "N4", 3, natprobe.PortRestricted},
	{"dave", "N8", 4, natprobe.PortRestricted},
	{"erin", "N6", 5, natprobe.SymmetricStepping},
	{"frank", "N5", 6, natprobe.SymmetricRandom},
}

// sites are how many NATs the cast is behind.
func sites() int {
	seen := make(map[int]bool)
	for _, r := range cast {
		seen[r.site] = true
	}
	return len(seen)
}

func (r role) behind() lab.Kind {
	k, ok := lab.KindNamed(r.kind)
	if !ok {
		panic("demo: no kind " + r.kind)
	}
	return k
}

// expected is how two of the cast are to meet.
func expected(a, b role) Path {
	if a.site == b.site {
		return Local
	}
	switch v := strategy.Direct(a.class, b.class); v.Path {
	case strategy.PathDirect:
		return Direct
	case strategy.PathRelay:
		return Relayed
	default:
		panic(fmt.Sprintf("demo: nobody knows whether %s and %s meet", a.name, b.name))
	}
}

// Path is the way on which two peers met.
type Path uint8

const (
	None    Path = iota // they did not
	Local               // inside the site of both
	Direct              // through both NATs
	Relayed             // through the node's relay
)

var pathNames = [...]string{"none", "local", "direct", "relayed"}

// String is the path in one word.
func (p Path) String() string { return pathNames[p] }

// MarshalText implements encoding.TextMarshaler.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
