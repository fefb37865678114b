// Package report draws conclusions from what was measured.
//
// A [Record] is the measurements alone, which natprobe/prober and others make. [New]
// classifies it, several servers held against each other, and a [Report] is its own
// text, JSON (report.schema.json), trace and metrics: reading a file of one and
// calling New again gives the same report, or a better one by a later classifier.
package report

import (
	"net/netip"
	"time"

	"pileus/natprobe"
)

// Schema is the version of a report's JSON, described by report.schema.json. A
// change that could break a reader of it takes another number.
const Schema = "natprobe-report/1"

// Record is everything that was measured, without a conclusion. [New] makes
// the same report of it again.
type Record struct {
	Host  Host     `json:"host,omitzero"`
	Way   *Way     `json:"way,omitempty"`
	Runs  []Run    `json:"runs"` // one a server
	Depth Depth    `json:"depth,omitzero"`
	Trace []Event  `json:"trace,omitempty"`
	Notes []string `json:"notes,omitempty"` // what could not be tested, and why
}

// Run is what one server was asked.
type Run struct {
	Server       netip.AddrPort         `json:"server,omitzero"`
	NAT64        netip.Prefix           `json:"nat64,omitzero"` // by which Server, an IPv4 address, was reached over IPv6
	Own          netip.Addr             `json:"own,omitzero"`   // then: this host's address
	Observations []natprobe.Observation `json:"observations"`
	Heard        []Heard                `json:"heard,omitempty"` // what came and answers nothing
	RTT          time.Duration          `json:"rttNs,omitempty"` // of the first answer
	Notes        []string               `json:"notes,omitempty"`
	Interrupted  bool                   `json:"interrupted,omitempty"`
}

// Heard is packets that came to a run's sockets and are no answers as they should be.
type Heard struct {
	Kind  HeardKind      `json:"kind"`
	From  netip.AddrPort `json:"from"` // of ICMP without a port, 0
	Text  string         `json:"text"`
	Count int            `json:"count"`
}

// HeardKind says what came.
type HeardKind string

const (
	HeardSTUN  HeardKind = "stun"  // STUN, but no answer that is of use
	HeardOther HeardKind = "other" // something else over UDP
	HeardICMP  HeardKind = "icmp"  // that a packet is not let through
)

// Host is the interfaces of this host that could have been used.
type Host struct {
	Interfaces []Interface `json:"interfaces,omitempty"`
}

// Interface is one that is up, other than loopback.
type Interface struct {
	Name   string         `json:"name"`
	MTU    int            `json:"mtu"`              // bytes of an IP packet
	Tunnel bool           `json:"tunnel,omitempty"` // a VPN, by its kind or name
	Addrs  []netip.Prefix `json:"addrs,omitempty"`
}

// Way is how packets to the server leave this host.
type Way struct {
	Interface string     `json:"interface"`
	Tunnel    bool       `json:"tunnel,omitempty"`
	Router    netip.Addr `json:"router,omitzero"` // that takes them; zero: none
}

// leads reports whether what is at an address stands on the way. Where nothing is known of
// that, it may.
func (w *Way) leads(at string) bool {
	return w == nil || w.Router.IsValid() && at == w.Router.String()
}

// MTUOf returns the MTU of the interface that has addr; 0 if none has.
func (h Host) MTUOf(addr netip.Addr) int {
	for _, i := range h.Interfaces {
		for _, p := range i.Addrs {
			if p.Addr() == addr {
				return i.MTU
			}
		}
	}
	return 0
}

// Event is one packet of a run as this host saw it, for people to follow.
type Event struct {
	At    time.Time      `json:"at"`
	Local netip.AddrPort `json:"local,omitzero"`
	Peer  netip.AddrPort `json:"peer,omitzero"`
	Sent  bool           `json:"sent,omitempty"` // else received
	Bytes int            `json:"bytes"`          // of UDP payload
	Text  string         `json:"text"`           // what it asks, or says
}

// MaxEvents bounds a trace: more than the longest run has, and 1 MB of JSON.
const MaxEvents = 8192

// Began returns when the first try was sent; zero for a record of nothing.
func (r *Record) Began() (began time.Time) {
	for _, run := range r.Runs {
		for _, o := range run.Observations {
			if began.IsZero() || o.Began().Before(began) {
				began = o.Began()
			}
		}
	}
	return began
}

// End returns when the last observation was made: the time to classify at.
func (r *Record) End() (end time.Time) {
	for _, run := range r.Runs {
		for _, o := range run.Observations {
			if o.At.After(end) {
				end = o.At
			}
		}
	}
	return end
}
