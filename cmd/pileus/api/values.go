package api

import (
	"math"
	"net/netip"
	"time"

	"pileus/introducer"
	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// Peer is who a peer is. An initiator without a session has only an address.
type Peer struct {
	ID      string         `json:"id,omitempty"`
	Tenant  string         `json:"tenant,omitempty"`
	App     string         `json:"app,omitempty"`
	Name    string         `json:"name,omitempty"`
	Address netip.AddrPort `json:"address"`
	Since   time.Time      `json:"since,omitzero"`
	Class   natprobe.Class `json:"class"`
}

// NewPeer is p for JSON.
func NewPeer(p introducer.PeerInfo) Peer {
	v := Peer{Tenant: p.Tenant, App: p.App, Name: p.Name, Address: p.Addr, Since: p.Since, Class: p.Class}
	if p.ID != (flash.PeerID{}) {
		v.ID = p.ID.String()
	}
	return v
}

// PeerDetail is a peer with its evidence.
type PeerDetail struct {
	Peer
	Local           netip.AddrPort         `json:"local"`
	RTTMilliseconds float64                `json:"rtt_ms"`
	Reported        []netip.AddrPort       `json:"reported"`
	Names           []string               `json:"names"`
	Probing         bool                   `json:"probing"`
	Behavior        *natprobe.Behavior     `json:"behavior"`
	Observations    []natprobe.Observation `json:"observations"`
}

// NewPeerDetail is d for JSON.
func NewPeerDetail(d introducer.PeerDetail) PeerDetail {
	return PeerDetail{
		Peer: NewPeer(d.PeerInfo), Local: d.Local, RTTMilliseconds: float64(d.RTT.Microseconds()) / 1000,
		Reported: notNil(d.Reported), Names: notNil(d.Names), Probing: d.Probing, Behavior: d.Behavior,
		Observations: notNil(d.Observations),
	}
}

// Plan is how two peers were told to meet.
type Plan struct {
	Strategy string `json:"strategy"`
	Sure     bool   `json:"sure"`
	Relay    string `json:"relay"` // none, beside, only
	Reason   string `json:"reason"`
}

const (
	relayBeside = "beside"
	relayOnly   = "only"
)

var relayUses = map[strategy.Use]string{strategy.RelayNone: "none", strategy.RelayBeside: relayBeside, strategy.RelayOnly: relayOnly}

// NewPlan is p for JSON.
func NewPlan(p introducer.PlanInfo) Plan {
	return Plan{p.Strategy.String(), p.Sure, relayUses[p.Relay], p.Why}
}

// Connect is what a client's connect brought.
type Connect struct {
	TCURL        string `json:"tc_url"`
	PageURL      string `json:"page_url"`
	SWFURL       string `json:"swf_url"`
	FlashVersion string `json:"flash_version"`
	Arguments    []any  `json:"arguments"`
}

// NewConnect is r for JSON.
func NewConnect(r *netconn.Request) *Connect {
	if r == nil {
		return nil
	}
	c := &Connect{r.TCURL, r.PageURL, r.SWFURL, r.FlashVersion, make([]any, len(r.Args))}
	for i, v := range r.Args {
		c.Arguments[i] = plain(v)
	}
	return c
}

// Event is something that happened.
type Event struct {
	Event    string             `json:"event"` // connect, classified, introduced, revised, unknown-peer, relayed, outcome, closed
	Time     time.Time          `json:"time"`
	Peer     Peer               `json:"peer"`
	Target   *Peer              `json:"target,omitempty"`
	Connect  *Connect           `json:"connect,omitempty"`
	Behavior *natprobe.Behavior `json:"behavior,omitempty"`
	Plan     *Plan              `json:"plan,omitempty"`
	Outcome  string             `json:"outcome,omitempty"`
	Bytes    *[2]uint64         `json:"bytes,omitempty"` // relayed: IP bytes from the peer, from the target; closed: from and to the peer
	Seconds  float64            `json:"seconds,omitempty"`
	Reason   string             `json:"reason,omitempty"`
}

// NewEvent is e for JSON.
func NewEvent(e introducer.Event) Event {
	v := Event{Event: e.Kind.String(), Time: e.At, Peer: NewPeer(e.Peer), Reason: e.Reason}
	switch e.Kind {
	case introducer.NameChanged: // a NameEvent
	case introducer.PeerConnected:
		v.Connect = NewConnect(e.Connect)
	case introducer.PeerClassified:
		v.Behavior = e.Behavior
	case introducer.PeersIntroduced, introducer.PlanRevised:
		target, plan := NewPeer(e.Target), NewPlan(e.Plan)
		v.Target, v.Plan = &target, &plan
	case introducer.PeerNotFound:
		target := NewPeer(e.Target)
		v.Target = &target
	case introducer.IntroductionSettled:
		target := NewPeer(e.Target)
		v.Target, v.Outcome = &target, e.Outcome.String()
	case introducer.PairRelayed:
		target, bytes := NewPeer(e.Target), e.Bytes
		v.Target, v.Bytes = &target, &bytes
	case introducer.PeerClosed:
		bytes := e.Bytes
		v.Bytes = &bytes
		v.Seconds = math.Round(e.At.Sub(e.Peer.Since).Seconds()*1000) / 1000
	}
	return v
}

// plain is an AMF value as JSON can say it. What JSON has no word for is null.
func plain(v amf.Value) any {
	switch v := v.(type) {
	case amf.Number:
		if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return nil
	case amf.Boolean:
		return bool(v)
	case amf.String:
		return string(v)
	case amf.XML:
		return string(v)
	case amf.Bytes:
		return []byte(v)
	case amf.Date:
		return plain(amf.Number(v.Milliseconds))
	case amf.Array:
		return plainList(v)
	case amf.Vector:
		return plainList(v.Items)
	}
	if o, ok := amf.Members(v); ok {
		m := make(map[string]any, len(o))
		for _, member := range o {
			m[member.Name] = plain(member.Value)
		}
		return m
	}
	return nil
}

func plainList(values []amf.Value) []any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = plain(v)
	}
	return list
}

// notNil keeps JSON from saying null where a list is meant.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
