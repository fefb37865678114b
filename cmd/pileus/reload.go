package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"pileus/cmd/pileus/api"
	"pileus/configs"
	"pileus/introducer"
	"pileus/introducer/tenant"
	"pileus/relay/turn"
	"pileus/rtmfp"
)

// settingsOf is what the introducer can be told while it runs.
func (n *node) settingsOf(cfg *configs.Config) introducer.Settings {
	s := introducer.Settings{
		Anonymous:   cfg.Introduce.Anonymous,
		MaxPending:  cfg.Limits.PendingIntroductions,
		ProbeRate:   int(cfg.Probe.Rate),
		NameArg:     cfg.Presence.NameArg,
		VerdictLife: cfg.Hooks.Verdict,
		CoreKeys:    cfg.Cores.Keys,
		Limits:      introducerLimits(cfg),
	}
	for name, t := range cfg.Tenants {
		s.Tenants = append(s.Tenants, tenant.Config{
			Name: name, Keys: t.Keys, Closed: t.Closed, RequireToken: t.Token == configs.TokenRequire, Secret: []byte(t.Secret),
			MaxPeers: t.Peers, MaxGroups: t.Groups,
		})
	}
	// A node without a core spends nothing on questions.
	if cfg.Hooks.URL != "" && len(cfg.Hooks.Ask) > 0 {
		s.Ask = n.hooks.ask
	}
	return s
}

// Reload implements api.Node: it reads the configuration again and puts in force
// what can change without ending a session. A configuration with a mistake
// changes nothing.
func (o *operator) Reload(ctx context.Context) (api.Reloaded, error) {
	o.reloading.Lock()
	defer o.reloading.Unlock()
	cfg, err := o.reread()
	if err != nil {
		return api.Reloaded{}, fmt.Errorf("%w: %w", api.ErrRefused, err)
	}
	for _, w := range cfg.Warnings() {
		o.log.Warn("configuration", "notice", w.Error())
	}
	was := o.current.Load()
	done := api.Reloaded{Changed: []string{}, Restart: []string{}, Opened: []string{}, Closed: []string{}}
	for _, key := range was.Differences(cfg) {
		if configs.Reloadable(key) {
			done.Changed = append(done.Changed, key)
		} else {
			done.Restart = append(done.Restart, key)
		}
	}
	// The files may have changed even if their names have not.
	troubles := append(o.certificates.renew(), o.certificates.expiring(o.wall())...)
	if err := o.hooks.set(cfg.Hooks); err != nil {
		return api.Reloaded{}, fmt.Errorf("%w: %w", api.ErrRefused, err)
	}
	if err := o.ask(ctx, func(e *rtmfp.Engine) {
		o.intro.Reload(o.settingsOf(cfg))
		if was.Limits.HandshakesPerPrefix != cfg.Limits.HandshakesPerPrefix {
			e.SetHandshakeRate(handshakeRate(cfg), handshakeBurst)
		}
		e.SetSharedLimits(sharedLimits(cfg))
	}); err != nil {
		return api.Reloaded{}, err
	}
	o.limits.Reload(relayLimits(cfg))
	if was.Limits.AnswersPerPrefix != cfg.Limits.AnswersPerPrefix {
		o.stun.responder.ration(int(cfg.Limits.AnswersPerPrefix))
		if o.turn.server != nil {
			o.turn.server.SetAnswersPerPrefix(noneBelow(int(cfg.Limits.AnswersPerPrefix)))
		}
	}
	if o.turn.server != nil {
		o.turn.server.Reload(turn.Credentials{Users: cfg.TURN.Users, Secrets: cfg.TURN.Secrets}, cfg.TURN.Alternates)
	}
	o.guard.Set(access(cfg))
	if was.Log.Level != cfg.Log.Level {
		o.logs.level.Set(cfg.Log.Level.Slog())
	}
	o.logs.set(cfg.Log)
	// What waits for a restart is told again next time.
	o.current.Store(was.With(cfg))
	changed, err := o.look(ctx)
	if err != nil {
		return api.Reloaded{}, err
	}
	for _, a := range ips(changed.came) {
		done.Opened = append(done.Opened, a.String())
	}
	for _, a := range ips(changed.went) {
		done.Closed = append(done.Closed, a.String())
	}
	done.Missing = append(o.sockets.shortcomings(), troubles...)
	o.log.Info("reloaded", "changed", done.Changed)
	if len(done.Restart) > 0 {
		o.log.Warn("some keys that changed wait for a restart of the node; what they said before stays in force", "keys", done.Restart)
	}
	return done, nil
}

// reloadOnSignal reloads on each SIGHUP until ctx ends.
func (o *operator) reloadOnSignal(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			patient, cancel := context.WithTimeout(ctx, askTimeout)
			if _, err := o.Reload(patient); err != nil {
				o.log.Error("not reloaded; what was in force stays so", "error", err)
			}
			cancel()
		case <-ctx.Done():
			return
		}
	}
}
