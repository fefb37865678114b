package peer

import (
	"errors"
	"fmt"
	"strings"

	"pileus/rtmfp/flash"
)

// Access says who may play what is published here. The zero value lets
// everybody.
type Access struct {
	rest  verdict // on those that are not listed
	peers map[flash.PeerID]bool
	names []string // of peers that are let in, as the server knows them
}

type verdict uint8

const (
	yes verdict = iota
	ask
	no
)

// ParseAccess reads values of --accept: all, ask, none, peer IDs and names.
// Listed peers are let in; the others are refused, or asked about with ask. No
// value at all is all.
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
		who, err := parseWho(v)
		if err != nil {
			return Access{}, err
		}
		if who.Holder != "" {
			a.names = append(a.names, who.Holder)
			continue
		}
		id := who.Peer
		if a.peers == nil {
			a.peers = make(map[flash.PeerID]bool)
		}
		a.peers[id] = true
	}
	switch {
	case a.peers == nil && a.names == nil:
	case said == "":
		a.rest = no
	case said != "ask":
		return Access{}, errors.New(said + " and a peer contradict each other")
	}
	return a, nil
}

// parseWho reads a peer ID, or the name of a peer.
func parseWho(s string) (Stream, error) {
	if id, err := flash.ParsePeerID(s); err == nil {
		return Stream{Peer: id}, nil
	}
	switch {
	case s == "":
		return Stream{}, errors.New("a peer is called by its ID (64 hexadecimal digits) or its name, and there is neither")
	case len(s) >= mistyped && strings.Trim(s, "0123456789abcdefABCDEF") == "":
		return Stream{}, fmt.Errorf("%q is no peer ID: that is 64 hexadecimal digits, not %d", s, len(s))
	}
	return Stream{Holder: s}, nil
}

// mistyped is the least number of hexadecimal digits that are a peer ID with
// some missing, rather than a name.
const mistyped = 24

// Asks reports whether somebody must be there to answer.
func (a Access) Asks() bool { return a.rest == ask }

func (a Access) judge(id flash.PeerID) verdict {
	if a.peers[id] {
		return yes
	}
	return a.rest
}
