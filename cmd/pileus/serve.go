package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/configs"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a node",
		Description: `Listens for RTMFP clients and introduces them to each other. Without a
configuration the defaults are in force; flags win over the configuration.

The first SIGINT or SIGTERM closes the sessions politely, a second one ends at
once.` + examples(
			"serve",
			"serve --listen :1945 --probe-ports 1946-1953 --admin :8936    # a second node",
			"serve --listen 192.0.2.1:1935 --listen '[2001:db8::1]:1935'",
			"serve --config FILE --log-format json",
		),
		Flags: settingsFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			cfg, err := settingsAndFiles(c)
			if err != nil {
				return err
			}
			polite, atOnce, release := stopping(c.Context)
			defer release()
			// Who reads the log may be slow, stand still or end: that is no concern of clients.
			signal.Ignore(syscall.SIGPIPE)
			out := newOutlet(c.App.ErrWriter)
			defer out.close(outletGrace)
			err = serve(polite, atOnce, cfg, func() (*configs.Config, error) { return settings(c) }, out)
			if err != nil {
				return &program.ExitError{Code: program.Report(out, c.App.Name, err, exitFailure)}
			}
			return nil
		},
	}
}

// serve runs a node until polite ends and its sessions are closed, or until
// atOnce ends, or until it fails. reread gives the configuration anew.
func serve(polite, atOnce context.Context, cfg *configs.Config, reread func() (*configs.Config, error), stderr io.Writer) error {
	keepHeapInCgroup()
	log, logs := newLogger(stderr, cfg.Log)
	n, err := build(cfg, log, time.Now)
	if err != nil {
		return err
	}
	polite, end := context.WithCancel(polite)
	defer end()
	n.operator.logs, n.operator.reread, n.operator.drain.end = logs, reread, end
	if err := n.open(); err != nil {
		return err
	}
	notify(stderr, log, cfg, append(warnings(cfg), n.advice()...))
	announce(stderr, log, n)
	return n.serve(polite, atOnce)
}

// serve runs what is open, and closes it: see the function of that name.
func (n *node) serve(polite, atOnce context.Context) error {
	log := n.log
	outlive, stopBeside := context.WithCancel(context.WithoutCancel(polite))
	var beside sync.WaitGroup // what runs beside the engine, and until it has ended
	beside.Go(func() { n.stun.serve(outlive) })
	beside.Go(func() { n.turn.serve(outlive) })
	beside.Go(func() { n.follow(outlive) })
	beside.Go(func() { n.limits.Run(outlive) })
	beside.Go(func() { n.checkNames(outlive, log) })
	beside.Go(func() { n.relay.serve(outlive, log) })
	beside.Go(func() { n.relay.tell(outlive, n) })
	beside.Go(func() { n.hooks.run(outlive) })
	beside.Go(func() { n.operator.reloadOnSignal(outlive) })
	if n.adminListener != nil {
		beside.Go(func() {
			if err := n.admin.Serve(outlive, n.adminListener); err != nil {
				log.Error("the admin listener failed; the node goes on", "error", err)
			}
		})
	}
	defer n.operator.drain.close()
	defer beside.Wait()
	defer stopBeside()

	told := make(chan struct{})
	ending := context.AfterFunc(polite, func() {
		defer close(told)
		log.Info("stopping")
	})
	defer func() {
		if !ending() {
			<-told
		}
	}()
	insisted := context.AfterFunc(atOnce, n.endpoint.Close)
	defer insisted()
	if err := n.endpoint.Serve(polite); err != nil {
		return err
	}
	<-told
	if atOnce.Err() != nil {
		return errors.New("ended at once: clients will notice after a while by themselves")
	}
	return nil
}

// warnings are what a configuration may say and probably does not mean.
func warnings(cfg *configs.Config) []string {
	list := cfg.Warnings()
	lines := make([]string, len(list))
	for i, w := range list {
		lines[i] = "warning: " + w.Error()
	}
	return lines
}

// notify and announce speak to whoever reads: lines for people, or events
// where each line must be an object.
func notify(stderr io.Writer, log *slog.Logger, cfg *configs.Config, lines []string) {
	for _, line := range lines {
		if cfg.Log.Format == configs.FormatJSON {
			log.Warn("configuration", "notice", line)
		} else {
			fmt.Fprintf(stderr, "pileus: %s\n", line)
		}
	}
}

func announce(stderr io.Writer, log *slog.Logger, n *node) {
	b := n.banner()
	if n.config.Log.Format == configs.FormatJSON {
		log.Info("serving", "listen", b.clients(), "probes", len(b.at[configs.UseProbe]), "fingerprint", b.fingerprint, "admin", b.admin, "version", version())
		return
	}
	b.print(stderr)
}
