package peer

import (
	"errors"
	"fmt"

	"pileus/rtmfp/flash"
)

// Access says who may play what is published here. The zero value lets
// everybody.
type Access struct {
	rest  verdict // on those that are not listed
	peers map[flash.PeerID]bool
}

type verdict uint8

const (
	yes verdict = iota
	ask
	no
)

// ParseAccess reads values of --accept: all, ask, none and peer IDs. Listed
// peers are let in; the others are refused, or asked about with ask. No value
// at all is all.
func ParseAccess(values []string) (Access, error) {
	var a Access
	words := map[string]verdict{"all": yes, "ask": ask, "none": no}
	said := ""
	for _, v := range values {
		if word, ok := words[v]; ok {
			if said != "" && said != v {
				return Access{}, fmt.Errorf("%s and %s contradict each other", said, v)
			}
			said, a.rest = v, word
			continue
		}
		id, err := flash.ParsePeerID(v)
		if err != nil {
			return Access{}, fmt.Errorf("%q is none of all, ask and none, and no peer ID (64 hexadecimal digits)", v)
		}
		if a.peers == nil {
			a.peers = make(map[flash.PeerID]bool)
		}
		a.peers[id] = true
	}
	switch {
	case a.peers == nil:
	case said == "":
		a.rest = no
	case said != "ask":
		return Access{}, errors.New(said + " and a peer ID contradict each other")
	}
	return a, nil
}

// Asks reports whether somebody must be there to answer.
func (a Access) Asks() bool { return a.rest == ask }

func (a Access) judge(id flash.PeerID) verdict {
	if a.peers[id] {
		return yes
	}
	return a.rest
}
