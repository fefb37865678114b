package api

import (
	"net/http"
	"net/netip"
	"time"

	"pileus/introducer"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
)

// Timeline is the latest packets of a peer, the oldest first: whose they were and
// of what kind, never what they said.
type Timeline struct {
	Until   *time.Time `json:"until"` // packets are noted until then; null: none are
	Packets []Packet   `json:"packets"`
	Total   uint64     `json:"total"` // noted; the latest 256 are kept
}

// Packet is one of a timeline's.
type Packet struct {
	Time    time.Time      `json:"time"`
	Sent    bool           `json:"sent"`    // by the node
	Startup bool           `json:"startup"` // of no session
	Local   netip.AddrPort `json:"local"`   // the node's address
	Peer    netip.AddrPort `json:"peer"`    // the other
	Bytes   int            `json:"bytes"`   // of UDP payload
	Verdict string         `json:"verdict"` // sent, taken, foreign (the relay's), or why it was dropped
	Chunks  []Chunk        `json:"chunks"`  // empty of what could not be opened
	More    bool           `json:"more"`    // there were more chunks
}

// Chunk is chunks of one type in a row.
type Chunk struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
}

// NewTimeline is i for JSON.
func NewTimeline(i introducer.TimelineInfo) Timeline {
	v := Timeline{Packets: make([]Packet, 0, len(i.Records)), Total: i.Total}
	if !i.Until.IsZero() {
		v.Until = &i.Until
	}
	for _, r := range i.Records {
		v.Packets = append(v.Packets, newPacket(r))
	}
	return v
}

func newPacket(r rtmfp.PacketRecord) Packet {
	p := Packet{
		Time: r.At, Sent: r.Sent, Startup: r.Startup, Local: r.Local, Peer: r.Peer,
		Bytes: r.Size, Verdict: r.Fate, Chunks: []Chunk{}, More: r.More,
	}
	if r.Sent {
		p.Verdict = "sent"
	}
	for _, c := range r.Chunks {
		if c.Count > 0 {
			p.Chunks = append(p.Chunks, Chunk{c.Type.String(), c.Count})
		}
	}
	return p
}

func timelineID(r *http.Request) (flash.PeerID, error) {
	id, err := flash.ParsePeerID(r.PathValue("id"))
	if err != nil {
		return id, errPeerID
	}
	return id, nil
}

func (s *server) timeline(_ scope, r *http.Request) (any, error) {
	id, err := timelineID(r)
	if err != nil {
		return nil, err
	}
	return s.Node.Timeline(r.Context(), id)
}

func (s *server) watch(_ scope, r *http.Request) (any, error) {
	id, err := timelineID(r)
	if err != nil {
		return nil, err
	}
	return s.Node.Watch(r.Context(), id)
}

func (s *server) unwatch(_ scope, r *http.Request) (any, error) {
	id, err := timelineID(r)
	if err != nil {
		return nil, err
	}
	return nil, s.Node.Unwatch(r.Context(), id)
}
