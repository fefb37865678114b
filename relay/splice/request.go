package splice

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/flash"
)

// A Request is for an introduction to be relayed.
type Request struct {
	Tag, EPD          []byte // of the initiator's IHello
	Initiator, Target Party
	// Hold is how long the first RHello is kept back, so that a direct one is
	// first.
	Hold time.Duration
	// Rebind lets sides change their addresses.
	Rebind bool
	// Beside: the two are told of their own addresses too. What they get is then only
	// reserved, until one comes with an IIKeying.
	Beside bool
}

// A Party is one of the two peers. Addresses of the node are the ones it is bound
// to.
type Party struct {
	Peer   flash.PeerID // zero: unknown, an initiator without a session
	Tenant string
	Addr   netip.AddrPort // where it was observed
	Local  netip.AddrPort // the node's address that it speaks to
	// At are the node's addresses at one of which it has to be relayed, best first,
	// because its network lets it reach no others; none: any relay port will do.
	At []netip.AddrPort
}

// judge says whether the party may be relayed to where it is. A peer has proven that it
// is there.
func (p *Party) judge(g *guard.Guard) guard.Verdict {
	if p.Peer == (flash.PeerID{}) {
		return g.Check(p.Addr)
	}
	return g.CheckClient(p.Addr, p.Addr.Addr())
}

// A Grant has the addresses at which the two reach each other, as they are bound.
type Grant struct {
	ID                uint64
	Initiator, Target netip.AddrPort
}

// Errors of Book.Open, beside those of limit.Controller.Open.
var (
	// ErrPorts means that the range of relay ports is used up, even shared.
	ErrPorts = errors.New("splice: no relay port is free; widen relay.ports")
	// ErrRestricted means that a peer reaches only addresses at which it has
	// another far end already.
	ErrRestricted = errors.New("splice: a peer reaches only addresses of this node at which it is relayed to somebody else, or was within 10 minutes; a further address or relay.extra port would help")
	// ErrFamily means that the node has no relay port of a peer's address family.
	ErrFamily = errors.New("splice: no relay port of the address family of one of the peers")
	// ErrReservation means that what was reserved has been forgotten, for nobody came
	// in time.
	ErrReservation = errors.New("splice: what was reserved for the two has been forgotten")
	// ErrRequest is a request that no introduction makes.
	ErrRequest = errors.New("splice: a peer cannot be relayed to itself, nor without a tag")
)

// An AddressError is a peer at an address that nothing is relayed to.
type AddressError struct{ Verdict guard.Verdict }

func (e *AddressError) Error() string {
	hint := ""
	if e.Verdict == guard.Private {
		hint = "; relay.allow_private: true lets it"
	}
	return fmt.Sprintf("splice: nothing is relayed to a peer whose address is %s%s", e.Verdict, hint)
}

// Refusal is the reason of an error of Book.Open, from a closed list.
type Refusal uint8

// The refusals.
const (
	RefusedRequest Refusal = iota
	RefusedPorts
	RefusedRestricted
	RefusedFamily
	RefusedAddress
	RefusedQuota
	RefusedDrain
)

// numRefusals is how many there are.
const numRefusals = int(RefusedDrain) + 1

var refusalNames = [numRefusals]string{"request", "ports", "restricted", "family", "address", "quota", "drain"}

func (r Refusal) String() string { return refusalNames[r] }

func refusalOf(err error) Refusal {
	var address *AddressError
	switch {
	case errors.Is(err, ErrPorts):
		return RefusedPorts
	case errors.Is(err, ErrRestricted):
		return RefusedRestricted
	case errors.Is(err, ErrFamily):
		return RefusedFamily
	case errors.As(err, &address):
		return RefusedAddress
	case errors.Is(err, limit.ErrDraining):
		return RefusedDrain
	case errors.Is(err, ErrRequest):
		return RefusedRequest
	}
	return RefusedQuota
}

// pairKey is an unordered pair of peers. Who has no session is known by its
// address alone.
type pairKey struct {
	peers [2]flash.PeerID
	addr  netip.AddrPort // of an unknown initiator
}

// key returns the request's pair, and which of its two the initiator is.
func (r *Request) key() (k pairKey, initiator int) {
	i, t := r.Initiator.Peer, r.Target.Peer
	if i == (flash.PeerID{}) {
		k.addr = r.Initiator.Addr
	}
	if bytes.Compare(i[:], t[:]) > 0 {
		k.peers = [2]flash.PeerID{t, i}
		return k, 1
	}
	k.peers = [2]flash.PeerID{i, t}
	return k, 0
}
