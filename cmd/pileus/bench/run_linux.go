package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"pileus/rtmfp/flash"
)

// startTimeout is how long a server may take until it answers an IHello.
const startTimeout = 5 * time.Second

// measurements load one server and say what came of it. They leave no session
// behind.
var measurements = map[string]func(*load) ([]Value, error){
	"session-2":  func(l *load) ([]Value, error) { return l.handshakes(group2, false) },
	"session-14": func(l *load) ([]Value, error) { return l.handshakes(group14, false) },
	"connect-2":  func(l *load) ([]Value, error) { return l.handshakes(group2, true) },
	"connect-14": func(l *load) ([]Value, error) { return l.handshakes(group14, true) },
	"introduce":  (*load).introductions,
	"lookup":     (*load).lookups,
	"idle":       (*load).idle,
	"join":       (*load).joinAtOnce,
	"junk":       (*load).junk,
	"ihello":     (*load).helloFlood,
	"keying":     (*load).keyingFlood,
	"hoard":      (*load).hoard,
	"answer":     (*load).answers,
	"reflect":    (*load).reflection,
}

// settle is how long a server is left alone after a burst before its CPU time
// is read: what the burst left it to do is the burst's cost.
const settle = time.Second

// Run does the measurements and writes the results. It ends by itself: every
// phase is bounded in time. It fails before the first packet on settings that
// cannot be run, and then on a server that does not answer; a measurement that
// fails is shown as such in the results, and has Run fail at the end.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	servers, err := cfg.servers()
	if err != nil {
		return err
	}
	if len(cfg.Commands) > 0 {
		if err := pinSelf(); err != nil {
			return fmt.Errorf("moving to core 1: %w", err)
		}
	}
	var r report
	for round := 1; round <= cfg.Rounds; round++ {
		for _, name := range Names() {
			if len(cfg.Only) > 0 && !slices.Contains(cfg.Only, name) {
				continue
			}
			for _, s := range servers {
				fmt.Fprintf(cfg.Progress, "round %d of %d: %s, %s\n", round, cfg.Rounds, name, s.name)
				res := Result{Measurement: name, Server: s.name, Round: round}
				if res.Values, err = measure(ctx, cfg, name, s); err != nil {
					if ctx.Err() != nil || errors.Is(err, errSilent) {
						return err
					}
					fmt.Fprintf(cfg.Progress, "  failed: %v\n", err)
					res.Error = err.Error()
				}
				r.add(res)
				if cfg.JSON {
					if err := json.NewEncoder(cfg.Results).Encode(res); err != nil {
						return err
					}
				}
			}
		}
	}
	if !cfg.JSON {
		return errors.Join(r.table(cfg.Results), r.failed())
	}
	if cfg.Rounds > 1 {
		for _, m := range r.medians() {
			if err := json.NewEncoder(cfg.Results).Encode(m); err != nil {
				return err
			}
		}
	}
	return r.failed()
}

// A target is a server to be measured: one that runs, or a command.
type target struct {
	name, command string
	pid           int
}

func (c Config) servers() ([]target, error) {
	if len(c.Commands) == 0 {
		return []target{{name: c.Server.String(), pid: c.PID}}, nil
	}
	var out []target
	for _, command := range c.Commands {
		name, rest, ok := strings.Cut(command, "=")
		if !ok || strings.ContainsAny(name, " /") {
			name, rest = filepath.Base(strings.Fields(command + " ?")[0]), command
		}
		if slices.ContainsFunc(out, func(t target) bool { return t.name == name }) {
			return nil, fmt.Errorf("two servers named %q: write NAME=COMMAND", name)
		}
		out = append(out, target{name: name, command: rest})
	}
	return out, nil
}

// measure does one measurement on one server, starting and stopping it if it is
// a command.
func measure(ctx context.Context, cfg Config, name string, t target) (values []Value, err error) {
	keys, err := newClientKeys(cfg.Server, cfg.App)
	if err != nil {
		return nil, err
	}
	sock, err := listen(cfg.Server, cfg.Sources)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer func() { err = errors.Join(err, sock.close()) }()
	l := &load{
		ctx: ctx,
		// Who sleeps must be woken by the server's send calls, which would then
		// cost it several times what they do.
		spin:    runtime.NumCPU() > 1,
		cfg:     cfg,
		sock:    sock,
		keys:    keys,
		in:      make([]byte, maxDatagram),
		out:     make([]byte, 0, maxDatagram),
		plain:   make([]byte, 0, maxDatagram),
		answer:  make([]byte, 0, maxDatagram/2),
		peers:   make(map[int]*peer),
		opening: make(map[*peer]struct{}),
	}
	l.sealer, l.opener = flash.NewStartup()
	l.server.pid = t.pid
	if t.command != "" {
		if l.server, err = start(ctx, t.command); err != nil {
			return nil, err
		}
		defer l.server.stop()
	}
	if err := l.awaitServer(); err != nil {
		return nil, err
	}
	return measurements[name](l)
}

var errSilent = errors.New("no answer to an IHello: UDP blocked, wrong address, or no RTMFP server there")

// awaitServer returns when the server has answered an IHello.
func (l *load) awaitServer() error {
	answered := false
	l.onStray = func(int, []byte) { answered = true }
	defer func() { l.onStray = nil }()
	tag := l.keys.seed()[:16]
	next := time.Now()
	err := l.run(startTimeout, func() (time.Time, bool) {
		if !l.now.Before(next) {
			l.send(floodFirst-1, l.hello(l.keys.epd, tag))
			next = l.now.Add(200 * time.Millisecond)
		}
		return next, answered
	})
	if err == nil && !answered {
		err = fmt.Errorf("%v: %w", l.cfg.Server, errSilent)
	}
	return err
}

// failed is an error if a measurement failed, in whatever round.
func (r *report) failed() error {
	var names []string
	for _, res := range r.results {
		if name := res.Measurement + " of " + res.Server; res.Error != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("failed: %s", strings.Join(names, ", "))
}
