package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/natprobe/predict"
	"pileus/natprobe/prober"
	"pileus/natprobe/relayed"
	"pileus/natprobe/report"
)

// defaultLifetime is more than most NATs keep an unused mapping (RFC 4787 REQ-5
// asks for two minutes at least).
const defaultLifetime = 150 * time.Second

func runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "test the network of this host",
		Description: `Asks a pileus node, or any server of RFC 8489. One with two addresses (RFC 5780)
tells everything; with one address the filter, and what other addresses see, stay
unknown. Several servers are held against each other. This network's router is asked
for its own address; PCP tells that with a mapping of a port, which is released at
once and lets nobody in.

Ctrl-C ends the test and prints what is known by then.

Examples:

   natprobe run --server 203.0.113.1
   natprobe run --server stun.example.org:3478 --server stun.example.com --json
   natprobe run --server 203.0.113.1 --record site.json`,
		Flags:  append(measureFlags(), outputFlags()...),
		Action: probe,
	}
}

// measureFlags say what to measure and how.
func measureFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "server", EnvVars: []string{"NATPROBE_SERVER"}, Usage: "ask `HOST[:PORT]`, a pileus node or a STUN server (ports 3478 and 1935 are tried); repeatable"},
		turnFlag(),
		&cli.BoolFlag{Name: "6", Usage: "ask over IPv6"},
		&cli.BoolFlag{Name: "quick", Usage: "skip the binding lifetime: ten seconds at most instead of minutes"},
		&cli.DurationFlag{Name: "lifetime", Value: defaultLifetime, Usage: "wait up to `TIME` for a mapping to end"},
		&cli.StringFlag{Name: "bind", Usage: "use `ADDRESS` or an interface by its name (default: the one that leads to the server)"},
	}
}

func probe(c *cli.Context) error {
	if c.Args().Present() {
		return usage("run takes no argument, and there is %q; see natprobe run --help", c.Args().First())
	}
	r, err := measure(c)
	if err != nil {
		return err
	}
	if err := show(c, r); err != nil {
		return err
	}
	return verdictOf(r)
}

// measure does one run, with progress on stderr. What was interrupted is a report
// too.
func measure(c *cli.Context) (report.Report, error) {
	servers, err := resolveAll(c.Context, c.StringSlice("server"), c.Bool("6"))
	if err != nil {
		return report.Report{}, err
	}
	turns, err := turnServers(c)
	if err != nil {
		return report.Report{}, err
	}
	m := measurement{c: c, servers: servers, turns: turns, record: report.Record{Host: thisHost()}}
	if bind := c.String("bind"); bind != "" {
		if m.bind, err = boundTo(bind, m.record.Host, servers[0].addrs[0].Addr().Is4()); err != nil {
			return report.Report{}, err
		}
	}
	m.progress = startProgress(c.App.ErrWriter)
	err = m.run(c.Context)
	m.progress.stop()
	if err != nil {
		return report.Report{}, err
	}
	return report.New(m.record, time.Now(), predict.Reach), nil
}

// measurement is a run in the making.
type measurement struct {
	c        *cli.Context
	servers  []server
	turns    []relayed.Server
	bind     netip.Addr
	progress *progress
	record   report.Record
}

func (m *measurement) run(ctx context.Context) error {
	for i, s := range m.servers {
		run, err := m.ask(ctx, s, i)
		if err != nil {
			return err
		}
		m.record.Runs = append(m.record.Runs, run)
		if run.Interrupted { // what is known by then is a report
			return nil
		}
	}
	m.deepen(ctx)
	if ctx.Err() != nil {
		m.record.Notes = append(m.record.Notes, "interrupted: what is missing was not measured to its end")
	}
	return nil
}

// ask tries the addresses of one server until one answers; if none does, the run is
// that of the first.
func (m *measurement) ask(ctx context.Context, s server, index int) (first report.Run, err error) {
	for i, addr := range s.addrs {
		run, err := prober.Ask(ctx, m.config(ctx, addr, index))
		silent := errors.Is(err, prober.ErrNoAnswer)
		switch {
		case err != nil && !silent && !run.Interrupted:
			return run, failed(err)
		case !silent:
			return run, nil
		case i == 0:
			first = run
		default:
			first.Notes = append(first.Notes, fmt.Sprintf("port %d is silent too", addr.Port()))
		}
	}
	return first, nil
}

func (m *measurement) config(ctx context.Context, addr netip.AddrPort, index int) prober.Config {
	config := prober.Config{Server: addr, Phase: m.progress.set, Trace: m.trace}
	if m.bind.IsValid() {
		config.ListenAt = listenOn(ctx, m.bind)
		config.Listen = func() (net.PacketConn, error) { return config.ListenAt(0) }
	}
	for i, other := range m.servers {
		if i != index {
			config.Further = append(config.Further, other.addrs[0])
		}
	}
	return config
}

func (m *measurement) trace(e report.Event) {
	if len(m.record.Trace) < report.MaxEvents {
		m.record.Trace = append(m.record.Trace, e)
	}
}
