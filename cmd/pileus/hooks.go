package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"pileus/cmd/pileus/api"
	"pileus/configs"
	"pileus/introducer"
	"pileus/introducer/pairing"
	"pileus/rtmfp"
)

// hooks bring what the introducer asks and tells to the core server, if there is
// one. There may come one, or another, while the node runs.
type hooks struct {
	node string // its fingerprint
	wall clock
	log  *slog.Logger
	do   func(func(*rtmfp.Engine)) error

	mu     sync.Mutex
	cfg    configs.Hooks
	caller *pairing.Hooks // nil: no core
	begin  func(*pairing.Hooks)
}

// question and notice are the bodies of hooks.
type question struct {
	Node    string       `json:"node"`
	Ask     string       `json:"ask"` // connect, introduce
	Peer    api.Peer     `json:"peer"`
	Target  *api.Peer    `json:"target,omitempty"`
	Connect *api.Connect `json:"connect,omitempty"`
}

type notice struct {
	Node string `json:"node"`
	api.Event
}

func (h *hooks) config(c configs.Hooks) pairing.Config {
	return pairing.Config{
		Wall: h.wall, Log: h.log,
		URL: c.URL, Secret: []byte(c.Secret), Timeout: c.Timeout, AllowWhenDown: c.WhenDown == configs.WhenDownAllow, Queue: c.Queue,
	}
}

// set puts a configuration in force.
func (h *hooks) set(c configs.Hooks) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case c.URL == "":
	case h.caller != nil:
		if err := h.caller.Reconfigure(h.config(c)); err != nil {
			return err
		}
	default:
		p, err := pairing.New(h.config(c))
		if err != nil {
			return err
		}
		h.caller = p
		if h.begin != nil {
			h.begin(p)
		}
	}
	h.cfg = c
	return nil
}

// run calls the core until ctx ends.
func (h *hooks) run(ctx context.Context) {
	var running sync.WaitGroup
	h.mu.Lock()
	h.begin = func(p *pairing.Hooks) { running.Go(func() { p.Run(ctx) }) }
	if h.caller != nil {
		h.begin(h.caller)
	}
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	h.begin = nil
	h.mu.Unlock()
	running.Wait()
}

// client is what calls the core; nil: no core.
func (h *hooks) client() *pairing.Hooks {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cfg.URL == "" {
		return nil
	}
	return h.caller
}

// ask is introducer.Config.Ask.
func (h *hooks) ask(q introducer.Question, done func(introducer.Verdict)) {
	body := question{Node: h.node, Ask: string(configs.AskConnect), Peer: api.NewPeer(q.Peer), Connect: api.NewConnect(q.Connect)}
	if q.Kind == introducer.PeersIntroduced {
		target := api.NewPeer(q.Target)
		body.Ask, body.Target = string(configs.AskIntroduce), &target
	}
	h.mu.Lock()
	p, asked := h.caller, h.cfg.URL != "" && slices.Contains(h.cfg.Ask, configs.HookAsk(body.Ask))
	h.mu.Unlock()
	if !asked {
		done(introducer.Verdict{Allow: true})
		return
	}
	verdict := func(v pairing.Verdict) introducer.Verdict {
		return introducer.Verdict{Allow: v.Allow, Reason: v.Reason}
	}
	if v, now := p.Ask(body, func(v pairing.Verdict) {
		// Ended: nobody waits for the verdict any more.
		_ = h.do(func(*rtmfp.Engine) { done(verdict(v)) })
	}); now {
		done(verdict(v))
	}
}

// tell passes an event on, if the core wants it.
func (h *hooks) tell(e introducer.Event) {
	h.mu.Lock()
	p, wanted := h.caller, h.cfg.URL != "" && slices.Contains(h.cfg.Tell, configs.HookTell(e.Kind.String()))
	h.mu.Unlock()
	if wanted {
		p.Tell(notice{h.node, api.NewEvent(e)})
	}
}
