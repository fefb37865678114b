package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pileus/cmd/pileus/admin"
	"pileus/cmd/pileus/api"
	"pileus/configs"
	"pileus/introducer"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
)

// operator is the node as its operator's tools see it.
type operator struct {
	*node
	recorder *api.Recorder
	guard    *api.Guard
	logs     *logSettings
	started  time.Time
	drain    drain

	meter meter

	current   atomic.Pointer[configs.Config]  // node.config with what was reloaded since
	reread    func() (*configs.Config, error) // the configuration, as serve was told it
	reloading sync.Mutex
}

// operate makes the node's faces for operators and for the core beside it.
func (n *node) operate() error {
	n.hooks = &hooks{node: n.engine.Identity.PeerID().String(), wall: n.wall, log: n.log, do: func(f func(*rtmfp.Engine)) error { return n.endpoint.Do(f) }}
	if err := n.hooks.set(n.config.Hooks); err != nil {
		return fmt.Errorf("hooks: %w", err)
	}
	n.operator = &operator{
		node: n, recorder: api.NewRecorder(), guard: api.NewGuard(access(n.config)), logs: new(logSettings), started: time.Now(),
	}
	n.operator.current.Store(n.config)
	var err error
	n.admin, err = admin.New(admin.Options{
		Health:     func(ctx context.Context) error { return n.ask(ctx, func(*rtmfp.Engine) {}) },
		Collectors: []prometheus.Collector{n.collector()},
		Ready:      n.operator.ready,
		Guard:      n.operator.guard,
		API:        api.Handler(api.Options{Node: n.operator, Recorder: n.operator.recorder, Guard: n.operator.guard, Log: n.log}),
		Profiles:   n.config.Admin.Token != "",
	})
	return err
}

// access is who may use the API.
func access(cfg *configs.Config) api.Access {
	a := api.Access{Token: cfg.Admin.Token, Tenants: map[string]string{}, Hosts: cfg.Admin.Hosts}
	for name, t := range cfg.Tenants {
		a.Tenants[name] = t.APIToken
	}
	return a
}

func (o *operator) Status(ctx context.Context) (api.Status, error) {
	s := api.Status{
		Version: version(), Fingerprint: o.node.engine.Identity.PeerID().String(), Started: o.started,
		Ready: o.ready(ctx) == nil, Draining: o.drain.ends(),
	}
	var err error
	if s.Relay, err = o.carried(ctx); err != nil {
		return s, err
	}
	if h := o.hooks.client(); h != nil {
		c := h.Stats()
		s.Hooks = &api.HookState{
			Allowed: c.Allowed, Refused: c.Refused, NoAnswer: c.NoAnswer, Told: c.Told,
			Retries: c.Retries, Discarded: c.Discarded, Lost: c.Lost, Waiting: c.Waiting,
		}
	}
	err = o.ask(ctx, func(e *rtmfp.Engine) {
		i := o.intro.Stats()
		s.Peers, s.Introduced, s.Sessions = i.Peers, i.Introduced, e.Stats().Sessions
		for key, n := range o.intro.Outcomes() {
			if key.Outcome == introducer.Retried {
				s.Retried += n
			}
		}
	})
	return s, err
}

func (o *operator) Peers(ctx context.Context, match func(api.Peer) bool) ([]api.Peer, error) {
	infos, err := o.roll(ctx)
	if err != nil {
		return nil, err
	}
	// The rest is not the engine's work.
	list := make([]api.Peer, 0, len(infos))
	for _, i := range infos {
		if p := api.NewPeer(i); match(p) {
			list = append(list, p)
		}
	}
	return list, nil
}

// rollPage is how many of a long list the engine tells in a row: it has other work.
const rollPage = 1000

// roll is all peers.
func (o *operator) roll(ctx context.Context) (infos []introducer.PeerInfo, err error) {
	var roll *introducer.Roll
	for more := true; more && err == nil; {
		err = o.ask(ctx, func(*rtmfp.Engine) {
			if roll == nil {
				roll = o.intro.Roll()
			}
			more = roll.Next(rollPage, func(p introducer.PeerInfo) { infos = append(infos, p) })
		})
	}
	if roll != nil {
		patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		_ = o.ask(patient, func(*rtmfp.Engine) { roll.Close() }) // the engine hangs or has ended: nobody walks there
	}
	return infos, err
}

func (o *operator) Peer(ctx context.Context, id flash.PeerID) (api.PeerDetail, error) {
	var d introducer.PeerDetail
	found := false
	err := o.ask(ctx, func(e *rtmfp.Engine) { d, found = o.intro.Inspect(e.Now(), id) })
	if err == nil && !found {
		err = api.ErrNotFound
	}
	return api.NewPeerDetail(d), err
}

func (o *operator) ClosePeer(ctx context.Context, id flash.PeerID) error {
	found := false
	err := o.ask(ctx, func(*rtmfp.Engine) { found = o.intro.ClosePeer(id) })
	if err == nil && !found {
		err = api.ErrNotFound
	}
	return err
}

// Timeline implements api.Node.
func (o *operator) Timeline(ctx context.Context, id flash.PeerID) (api.Timeline, error) {
	var i introducer.TimelineInfo
	err := o.ask(ctx, func(*rtmfp.Engine) { i, _ = o.intro.Timeline(id) })
	return api.NewTimeline(i), err
}

// Watch implements api.Node.
func (o *operator) Watch(ctx context.Context, id flash.PeerID) (api.Timeline, error) {
	var i introducer.TimelineInfo
	var failed error
	err := o.ask(ctx, func(e *rtmfp.Engine) { i, failed = o.intro.Watch(e, id) })
	switch {
	case err != nil:
	case errors.Is(failed, introducer.ErrNoPeer):
		err = api.ErrNotFound
	case failed != nil:
		err = fmt.Errorf("%w: %w", api.ErrRefused, failed)
	}
	return api.NewTimeline(i), err
}

// Unwatch implements api.Node.
func (o *operator) Unwatch(ctx context.Context, id flash.PeerID) error {
	found := false
	err := o.ask(ctx, func(e *rtmfp.Engine) { found = o.intro.Unwatch(e, id) })
	if err == nil && !found {
		err = api.ErrNotFound
	}
	return err
}

func (o *operator) Introduce(ctx context.Context, a, b flash.PeerID) (api.Plan, error) {
	var plan introducer.PlanInfo
	var failed error
	if err := o.ask(ctx, func(e *rtmfp.Engine) { plan, failed = o.intro.Bring(e, a, b) }); err != nil {
		return api.Plan{}, err
	}
	return api.NewPlan(plan), failed
}

func (o *operator) Names(ctx context.Context, tenant, prefix, after string) (api.Names, error) {
	var names []introducer.NamedPeer
	more := false
	err := o.ask(ctx, func(*rtmfp.Engine) { names, more = o.intro.Names(tenant, prefix, after) })
	list := api.Names{Names: make([]api.Name, 0, len(names)), More: more}
	for _, n := range names {
		list.Names = append(list.Names, api.Name{Name: n.Name, Peer: n.ID.String(), Since: n.Since})
	}
	return list, err
}

// Cores implements api.Node.
func (o *operator) Cores(ctx context.Context) ([]api.Core, error) {
	var infos []introducer.CoreInfo
	err := o.ask(ctx, func(*rtmfp.Engine) { infos = o.intro.CoreInfos() })
	list := make([]api.Core, 0, len(infos))
	for _, c := range infos {
		addrs := c.Addresses
		if addrs == nil {
			addrs = []netip.AddrPort{}
		}
		list = append(list, api.Core{
			Fingerprint: c.ID.String(), KeyID: c.KeyID, Address: c.Addr, Addresses: addrs,
			Load: c.Load, Draining: c.Draining, Since: c.Since, Sent: c.Sent,
		})
	}
	return list, err
}

// Groups implements api.Node.
func (o *operator) Groups(ctx context.Context) ([]api.Group, error) {
	var infos []introducer.GroupInfo
	var err error
	for from, more := 0, true; more && err == nil; more = from > 0 {
		err = o.ask(ctx, func(*rtmfp.Engine) {
			list, next := o.intro.GroupInfos(from, rollPage)
			infos, from = append(infos, list...), next
		})
	}
	list := make([]api.Group, 0, len(infos))
	for _, g := range infos {
		list = append(list, api.Group{ID: hex.EncodeToString(g.ID[:]), Tenant: g.Tenant, Members: g.Members})
	}
	return list, err
}

func (o *operator) LogLevel() string {
	switch l := o.logs.level.Level(); {
	case l <= slog.LevelDebug:
		return string(configs.LevelDebug)
	case l <= slog.LevelInfo:
		return string(configs.LevelInfo)
	case l <= slog.LevelWarn:
		return string(configs.LevelWarn)
	}
	return string(configs.LevelError)
}

func (o *operator) SetLogLevel(level string) error {
	var l configs.LogLevel
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return err
	}
	o.logs.level.Set(l.Slog())
	return nil
}

// ready says whether clients should be sent here.
func (o *operator) ready(ctx context.Context) error {
	if o.drain.ends() != nil {
		return errDraining
	}
	return o.ask(ctx, func(*rtmfp.Engine) {})
}

var errDraining = errors.New("draining: no clients are taken")
