package api

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pileus/introducer"
	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/wire"
)

// fake is a node with something of everything, half of it acme's.
type fake struct {
	peers  []PeerDetail
	closed []flash.PeerID
	level  string

	watched Timeline
	drain   time.Duration
}

func peerID(b byte) flash.PeerID { return flash.PeerID{b + 1} }

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newFake() *fake {
	f := &fake{level: "info", watched: NewTimeline(introducer.TimelineInfo{})}
	for i, tenant := range []string{"acme", "acme", "other", "other"} {
		b := natprobe.Behavior{Mapping: natprobe.EIM}
		f.peers = append(f.peers, NewPeerDetail(introducer.PeerDetail{
			PeerInfo: introducer.PeerInfo{
				ID: peerID(byte(i)), Tenant: tenant, App: "live", Name: "p" + fmt.Sprint(i),
				Addr: netip.MustParseAddrPort("203.0.113.1:5000"), Since: began,
			},
			Local: netip.MustParseAddrPort("192.0.2.1:1935"), RTT: 1500 * time.Microsecond, Behavior: &b,
			Observations: []natprobe.Observation{{Kind: natprobe.KindObserved, At: began, Seen: netip.MustParseAddrPort("203.0.113.1:5000")}},
		}))
	}
	f.peers[3].Behavior = nil
	return f
}

func (f *fake) Status(context.Context) (Status, error) {
	return Status{Version: "1", Started: began, Peers: 4, Hooks: &HookState{}}, nil
}

func (f *fake) Peers(_ context.Context, match func(Peer) bool) (list []Peer, err error) {
	for _, p := range f.peers {
		if match(p.Peer) {
			list = append(list, p.Peer)
		}
	}
	return list, nil
}

func (f *fake) Peer(_ context.Context, id flash.PeerID) (PeerDetail, error) {
	for _, p := range f.peers {
		if p.ID == id.String() {
			return p, nil
		}
	}
	return PeerDetail{}, ErrNotFound
}

func (f *fake) ClosePeer(_ context.Context, id flash.PeerID) error {
	f.closed = append(f.closed, id)
	return nil
}

func (f *fake) Timeline(context.Context, flash.PeerID) (Timeline, error) { return f.watched, nil }

func (f *fake) Watch(_ context.Context, id flash.PeerID) (Timeline, error) {
	if id == peerID(99) {
		return Timeline{}, fmt.Errorf("%w: %w", ErrRefused, rtmfp.ErrTimelines)
	}
	f.watched = NewTimeline(introducer.TimelineInfo{Until: began.Add(time.Hour), Total: 2, Records: []rtmfp.PacketRecord{
		{At: began, Startup: true, Size: 80, Fate: rtmfp.FateTaken, Peer: f.peers[0].Address},
		{At: began, Sent: true, Size: 90, Chunks: [8]rtmfp.ChunkRun{{Type: wire.ChunkUserData, Count: 1}, {Type: wire.ChunkNextUserData, Count: 3}}},
	}})
	return f.watched, nil
}

func (f *fake) Unwatch(_ context.Context, id flash.PeerID) error {
	if id == peerID(99) {
		return ErrNotFound
	}
	f.watched = NewTimeline(introducer.TimelineInfo{})
	return nil
}

func (f *fake) Introduce(_ context.Context, a, b flash.PeerID) (Plan, error) {
	if a == b {
		return Plan{}, introducer.ErrSamePeer
	}
	return NewPlan(introducer.PlanInfo{Strategy: strategy.Punch, Why: "why not"}), nil
}

func (f *fake) Names(_ context.Context, tenant, _, _ string) (Names, error) {
	return Names{Names: []Name{{tenant + "'s", peerID(1).String(), began}}}, nil
}

func (f *fake) Splices(context.Context) ([]Splice, error) {
	return []Splice{{ID: "1", Tenant: "acme", Initiator: peerID(0).String(), Target: peerID(1).String(), Since: began}, {ID: "2", Tenant: "other", Initiator: peerID(2).String(), Target: peerID(3).String()}}, nil
}

func (f *fake) EndSplice(context.Context, string) error { return nil }
func (f *fake) Allocations(context.Context) ([]Allocation, error) {
	return []Allocation{{ID: "1", Tenant: "acme", Since: began}, {ID: "2", Tenant: "other"}}, nil
}

func (f *fake) Cores(context.Context) ([]Core, error) {
	return []Core{{Fingerprint: "f", Addresses: []netip.AddrPort{}, Since: began}}, nil
}

func (f *fake) Groups(context.Context) ([]Group, error) {
	return []Group{{"g", "acme", 2}, {"h", "other", 1}}, nil
}

func (f *fake) Tenants(context.Context) ([]Tenant, error) {
	return []Tenant{{Tenant: "acme", Pairs: 1, Seconds: 1.5}, {Tenant: "other"}}, nil
}
func (f *fake) Drain(_ context.Context, d time.Duration) error { f.drain = d; return nil }
func (f *fake) CancelDrain(context.Context) error              { return ErrNotFound }
func (f *fake) Reload(context.Context) (Reloaded, error) {
	return Reloaded{[]string{"log.level"}, []string{}, []string{}, []string{}, []string{"eth0"}}, nil
}
func (f *fake) LogLevel() string { return f.level }
func (f *fake) SetLogLevel(l string) error {
	if l == "loud" {
		return errors.New(`"loud" is no level`)
	}
	f.level = l
	return nil
}

// events are one of each kind for both tenants.
func events(r *Recorder) {
	for _, tenant := range []string{"acme", "other"} {
		p := introducer.PeerInfo{ID: peerID(1), Tenant: tenant, Addr: netip.MustParseAddrPort("203.0.113.1:5000"), Since: began}
		b := natprobe.Behavior{}
		for _, e := range []introducer.Event{
			{Kind: introducer.PeerConnected, Connect: &netconn.Request{App: "live", Args: amf.Args{
				amf.String("a"), amf.Number(1), amf.Null{}, amf.Object{{Name: "b", Value: amf.Array{amf.Boolean(true)}}}, amf.Date{Milliseconds: 5},
			}}},
			{Kind: introducer.PeerClassified, Behavior: &b},
			{Kind: introducer.PeersIntroduced, Target: p, Plan: introducer.PlanInfo{Strategy: strategy.Relay, Relay: strategy.RelayOnly, Why: tenant}},
			{Kind: introducer.IntroductionSettled, Target: p, Outcome: introducer.Quiet},
			{Kind: introducer.PairRelayed, Target: p, Bytes: [2]uint64{1, 2}},
			{Kind: introducer.PeerClosed, Reason: "closed"},
		} {
			e.At, e.Peer = began.Add(time.Second), p
			r.Record(e)
		}
	}
}
