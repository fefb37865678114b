package natprobe

import (
	"net/netip"
	"time"
)

// Kind says what an Observation is about.
type Kind uint8

const (
	// KindObserved: Node, where the host holds its session, saw it at Seen. It
	// also says that the host was heard of at At.
	KindObserved Kind = iota
	// KindReported: the host calls Seen its own address.
	KindReported
	// KindControlFilter: unsolicited probes from Node, which the host talks to.
	KindControlFilter
	// KindFilter: unsolicited probes from Node, to which it has not sent.
	KindFilter
	// KindControlMapping: the host was asked to answer to Node, which it talks
	// to, and the answer came from Seen.
	KindControlMapping
	// KindMapping: the host was asked to answer to Node, another one.
	KindMapping
	// KindRoute: as KindMapping, to find out whether packets reach Node at all.
	KindRoute
	// KindSocket: another socket of the host, bound to Local, was seen at Seen.
	KindSocket
	// KindHairpin: packets to the host's public address, from behind its NAT.
	KindHairpin
	// KindFamily: as KindRoute with a Node of the other address family; Seen is
	// then proven to be the host's address of that family.
	KindFamily
)

var kindNames = []string{
	"observed", "reported", "controlFilter", "filter", "controlMapping", "mapping", "route", "socket", "hairpin", "family",
}

func (k Kind) String() string                { return name(kindNames, k) }
func (k Kind) MarshalText() ([]byte, error)  { return []byte(k.String()), nil }
func (k *Kind) UnmarshalText(b []byte) error { return parse(kindNames, k, b) }

// Via is how a host was asked.
type Via uint8

const (
	ViaIntroduction Via = iota // an RTMFP client, by IHello and FIHello
	ViaBinding                 // a STUN client, which asked by itself
)

var viaNames = []string{"introduction", "binding"}

func (v Via) String() string                { return name(viaNames, v) }
func (v Via) MarshalText() ([]byte, error)  { return []byte(v.String()), nil }
func (v *Via) UnmarshalText(b []byte) error { return parse(viaNames, v, b) }

// Observation is something that happened, without a conclusion: Hits of Tries
// probes of one kind that used one address were answered. A JSON list of them is
// a record that can be classified again.
type Observation struct {
	Kind Kind `json:"kind"`
	Via  Via  `json:"via,omitzero"`
	// Since is when the first try was sent; At when the last hit came or, without
	// a hit, when the last try was sent. Zero Since means At.
	Since time.Time      `json:"since,omitzero"`
	At    time.Time      `json:"at"`
	Node  netip.AddrPort `json:"node,omitzero"` // the node's or server's address that was used
	Tries int            `json:"tries,omitempty"`
	Hits  int            `json:"hits,omitempty"`
	Seen  netip.AddrPort `json:"seen,omitzero"`
	Local netip.AddrPort `json:"local,omitzero"`
}

// Began returns when the first try was sent.
func (o Observation) Began() time.Time {
	if o.Since.IsZero() {
		return o.At
	}
	return o.Since
}
