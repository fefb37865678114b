package report

import (
	"fmt"
	"net/netip"
	"time"

	"pileus/natprobe"
)

// Depth is what a way does to packets beside mapping and filtering them. What is
// nil was not measured.
type Depth struct {
	Lifetime  *Lifetime  `json:"lifetime,omitempty"`
	Load      *Load      `json:"load,omitempty"`
	ALG       *ALG       `json:"alg,omitempty"`
	MTU       *MTU       `json:"mtu,omitempty"`
	MTUIn     *MTU       `json:"mtuIn,omitempty"`
	Fragments *Fragments `json:"fragments,omitempty"`
	Marks     []Mark     `json:"marks,omitempty"`
	IPv6      *IPv6      `json:"ipv6,omitempty"`
	Gateways  []Gateway  `json:"gateways,omitempty"`
	Services  []Service  `json:"services,omitempty"`
	Node      *Node      `json:"node,omitempty"`
	Path      *Path      `json:"path,omitempty"`
}

// Path is the routers that packets pass first, and where on it this host's public
// address is.
type Path struct {
	Hops []netip.Addr `json:"hops"` // in order; zero: a silent one
	// Beyond is the last hop that passes packets for the public address on, which has not
	// that address itself, then; 0: none was seen to. At is the hop that has it; 0: not
	// known.
	Beyond int `json:"beyond,omitempty"`
	At     int `json:"at,omitempty"`
}

// Lifetime is how long a mapping lives without packets from inside.
type Lifetime struct {
	// Fresh mappings have seen one exchange, Used ones several in more than two
	// seconds: Linux and others keep those longer.
	Fresh Span `json:"fresh"`
	Used  Span `json:"used"`
	// InboundRefresh: a packet from outside makes a mapping live longer (RFC 4787
	// section 4.3). A hit is a mapping that lived on after one.
	InboundRefresh natprobe.Finding `json:"inboundRefresh"`
	// Limit is the longest rest that was tried, in seconds.
	Limit float64 `json:"limitSeconds"`
}

// Span is a bracket around a lifetime, in seconds.
type Span struct {
	AtLeast float64 `json:"atLeastSeconds"`         // alive after it; 0: never seen alive
	Below   float64 `json:"belowSeconds,omitempty"` // dead after it; 0: never seen dead
	Checks  int     `json:"checks"`
}

func (s Span) String() string {
	switch {
	case s.Checks == 0 || s.AtLeast == 0 && s.Below == 0:
		return "unknown"
	case s.Below == 0:
		return fmt.Sprintf("more than %.0f s", s.AtLeast)
	case s.AtLeast == 0:
		return fmt.Sprintf("less than %.1f s", s.Below)
	}
	return fmt.Sprintf("%.0f s (%.1f to %.1f)", (s.AtLeast+s.Below)/2, s.AtLeast, s.Below)
}

// Seconds is the middle of the bracket; 0 if it has no two ends.
func (s Span) Seconds() float64 {
	if s.AtLeast == 0 || s.Below == 0 {
		return 0
	}
	return (s.AtLeast + s.Below) / 2
}

// Load is what became of one socket's mapping while it sent to many.
type Load struct {
	Destinations int `json:"destinations"` // that answered
	Same         int `json:"same"`         // that saw what the first one saw
	// KeptFor is how many destinations in a row, from the first, saw the same; less
	// than Destinations if the mapping changed on the way.
	KeptFor int `json:"keptFor"`
}

// Changed reports whether the mapping gave way: a NAT that looks endpoint-
// independent with a few destinations is not with many.
func (l *Load) Changed() bool { return l != nil && l.KeptFor > 0 && l.KeptFor < l.Destinations }

// ALG is whether somebody on the way rewrites addresses in payloads: the plain
// MAPPED-ADDRESS of an answer then differs from XOR-MAPPED-ADDRESS, which they do
// not recognise.
type ALG struct {
	Answers int            `json:"answers"` // that had both
	Mangled int            `json:"mangled"`
	Plain   netip.AddrPort `json:"plain,omitzero"` // a mangled one
	Seen    netip.AddrPort `json:"seen,omitzero"`
}

// MTU is the longest IP packet that arrives in one piece, in bytes with its headers:
// at the server or, inwards, from it.
type MTU struct {
	Bytes int `json:"bytes"` // 0: not found
	// Below is the shortest that did not arrive; Bytes+1, unless the server takes
	// only packets whose length is a multiple of four. 0: all arrived.
	Below     int `json:"below,omitempty"`
	Interface int `json:"interface,omitempty"` // that of this host's own interface; 0: not known
	Tries     int `json:"tries"`
	// Limited: nothing longer was tried, the interface takes nothing longer or,
	// inwards, no longer request arrived.
	Limited bool `json:"limited,omitempty"`
}

// Fragments is whether packets in several pieces arrive. A hit is an answer.
type Fragments struct {
	Out natprobe.Finding `json:"out"`
	In  natprobe.Finding `json:"in"`
}

// Mark is what becomes of one value of the TOS byte (IPv6: traffic class).
type Mark struct {
	Name string `json:"name"` // "ECT(0)", "EF"
	Sent uint8  `json:"sent"`
	// Out and In are the values that arrived at the server and from it, by how
	// often; empty: nothing arrived.
	Out   map[uint8]int `json:"out,omitempty"`
	In    map[uint8]int `json:"in,omitempty"`
	Tries int           `json:"tries"` // each way
}

// Fate says what became of a mark one way: kept, changed to another value, lost
// with its packets, or unknown.
func (m Mark) Fate(arrived map[uint8]int) string {
	if m.Tries == 0 {
		return "unknown"
	}
	kept, total := arrived[m.Sent], 0
	other := uint8(0)
	for tos, n := range arrived {
		total += n
		if tos != m.Sent {
			other = tos
		}
	}
	switch {
	case total == 0:
		return "lost"
	case kept == total:
		return "kept"
	case kept > 0:
		return fmt.Sprintf("kept %d of %d", kept, total)
	}
	return fmt.Sprintf("changed to %#02x", other)
}

// IPv6 is what there is of it here.
type IPv6 struct {
	Global bool           `json:"global"` // this host has a global address
	Local  netip.AddrPort `json:"local,omitzero"`
	Seen   netip.AddrPort `json:"seen,omitzero"` // by the server; zero: no answer
	// Translated: seen as another address (NPTv6, NAT66).
	Translated natprobe.Answer `json:"translated"`
	// NAT64 is the prefix that this network's DNS makes IPv6 addresses of IPv4 ones
	// with (RFC 7050), zero if it does not.
	NAT64 netip.Prefix `json:"nat64,omitzero"`
	Text  string       `json:"text,omitempty"`
}

// Gateway is what a router says of itself.
type Gateway struct {
	Protocol string        `json:"protocol"` // UPnP IGD, NAT-PMP, PCP
	At       string        `json:"at,omitempty"`
	External netip.Addr    `json:"external,omitzero"`
	Took     time.Duration `json:"tookNs,omitempty"`
	Text     string        `json:"text,omitempty"` // why there is no address, or a remark
}

// NoAnswer is the text of what was silent.
const NoAnswer = "no answer"

// Service is an attempt to reach something in another way.
type Service struct {
	Name  string          `json:"name"` // "STUN over TCP", "TURN over TLS", "RTMFP"
	At    string          `json:"at"`
	Works natprobe.Answer `json:"works"`
	Took  time.Duration   `json:"tookNs,omitempty"`
	Text  string          `json:"text,omitempty"` // what was got, or why not
}

// Node is what an RTMFP server says to a client, and of it.
type Node struct {
	At          netip.AddrPort  `json:"at"`
	Works       natprobe.Answer `json:"works"`
	Took        time.Duration   `json:"tookNs,omitempty"` // from the first packet to the answer to connect
	Fingerprint string          `json:"fingerprint,omitempty"`

	// What the node found out by introductions, in its own session.
	Seen      netip.AddrPort     `json:"seen,omitzero"`
	Class     natprobe.Class     `json:"class"`
	Mapping   natprobe.Mapping   `json:"mapping"`
	Filtering natprobe.Filtering `json:"filtering"`
	Step      int                `json:"step,omitempty"`
	Text      string             `json:"text,omitempty"`
}
