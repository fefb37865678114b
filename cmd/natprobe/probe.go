package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
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
unknown, but for what a node finds out by its introductions. Several servers are held
against each other. This network's router is asked
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
		&cli.StringSliceFlag{Name: "server", EnvVars: []string{"NATPROBE_SERVER"}, Usage: "ask `HOST[:PORT]`, a pileus node or a STUN server, also as stun:, turn: or rtmfp: URI (ports 3478 and 1935 are tried, and every address of a name); repeatable"},
		turnFlag(),
		&cli.BoolFlag{Name: "6", Usage: "ask over IPv6; servers of IPv4 through a NAT64, if there is one"},
		&cli.BoolFlag{Name: "quick", Usage: "skip the binding lifetime: ten seconds at most instead of minutes"},
		&cli.DurationFlag{Name: "lifetime", Value: defaultLifetime, Usage: "wait up to `TIME` for a mapping to end"},
		&cli.StringFlag{Name: "bind", Usage: "use `ADDRESS` or an interface by its name (default: the one that leads to the server)"},
	}
}

func probe(c *cli.Context) error {
	if namesTURN(c.Args().First()) {
		return errArgumentTURN
	}
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
	servers, err := resolve(c)
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

// resolve finds the servers, and over IPv6 whether a NAT64 leads to those of IPv4.
func resolve(c *cli.Context) ([]server, error) {
	f := resolver{find: net.DefaultResolver.LookupNetIP, v6: c.Bool("6")}
	if f.v6 && c.IsSet("server") {
		f.nat64 = prober.NAT64(c.Context, lookup6)
	}
	return f.all(c.Context, c.StringSlice("server"))
}

func lookup6(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip6", name)
}

// measurement is a run in the making.
type measurement struct {
	c        *cli.Context
	servers  []server
	turns    []relayed.Server
	bind     netip.Addr
	progress *progress

	mu     sync.Mutex // of the trace
	record report.Record
}

func (m *measurement) run(ctx context.Context) error {
	found, err := m.find(ctx)
	if err != nil {
		return err
	}
	for i, f := range found {
		run := f.Run
		if f.answers {
			if run, err = f.Ask(ctx, m.config(ctx, found, i)); err != nil && !errors.Is(err, prober.ErrNoAnswer) && !run.Interrupted {
				return failed(err)
			}
		}
		run.Notes = append(m.servers[i].notes, run.Notes...)
		if run.NAT64 = m.servers[i].nat64; run.NAT64.IsValid() {
			run.Own, _ = prober.Route(ctx, m.wire(i, run.Server)) // it was there a moment ago
		}
		m.record.Runs = append(m.record.Runs, run)
		if run.Interrupted { // what is known by then is a report
			return nil
		}
	}
	m.deepen(ctx, found)
	if ctx.Err() != nil {
		m.record.Notes = append(m.record.Notes, "interrupted: what is missing was not measured to its end")
	}
	return nil
}

// located is a server, and where it was found.
type located struct {
	prober.Found
	answers bool
}

// find looks for all servers at the same time, so that each can be held against those
// that answer.
func (m *measurement) find(ctx context.Context) ([]located, error) {
	found := make([]located, len(m.servers))
	errs := make([]error, len(m.servers))
	var work sync.WaitGroup
	for i, s := range m.servers {
		work.Go(func() {
			c := m.config(ctx, nil, i)
			c.Server, c.Others = s.addrs[0], s.addrs[1:]
			var err error
			found[i].Found, err = prober.Find(ctx, c)
			switch {
			case err == nil:
				found[i].answers = true
			case !errors.Is(err, prober.ErrNoAnswer) && !found[i].Run.Interrupted:
				errs[i] = failed(m.hint(err))
			}
		})
	}
	work.Wait()
	if !slices.Contains(errs, nil) {
		return nil, errors.Join(errs...)
	}
	for i, err := range errs {
		if err != nil { // one of several that cannot be asked is no reason not to ask the others
			found[i].Run.Notes = append(found[i].Run.Notes, err.Error())
		}
	}
	return found, nil
}

// config is for the i-th server, held against the others that were found.
func (m *measurement) config(ctx context.Context, found []located, i int) prober.Config {
	config := prober.Config{Phase: m.progress.set, Trace: m.trace}
	local, prefix := m.bind, m.servers[i].nat64
	if prefix.IsValid() && !local.IsValid() {
		local, _ = prober.Route(ctx, m.wire(i, m.servers[i].addrs[0])) // without a way, nothing is sent
	}
	if local.IsValid() {
		config.ListenAt = listenOn(ctx, local)
		config.Refused = prober.RefusedFrom(local)
	}
	if prefix.IsValid() {
		listenAt := prober.Through(prefix, listenOn(ctx, local))
		config.ListenAt = listenAt
		config.Refused = func(ctx context.Context, to netip.AddrPort) (netip.Addr, string) {
			by, text := prober.RefusedFrom(local)(ctx, m.wire(i, to))
			return prober.Extract(prefix, netip.AddrPortFrom(by, 1)).Addr(), text
		}
	}
	if config.ListenAt != nil {
		config.Listen = func() (net.PacketConn, error) { return config.ListenAt(0) }
	}
	for j, other := range found {
		if j != i && other.answers {
			config.Further = append(config.Further, other.Run.Server)
		}
	}
	return config
}

// wire is where packets to an address of the i-th server go.
func (m *measurement) wire(i int, a netip.AddrPort) netip.AddrPort {
	return prober.Synthesize(m.servers[i].nat64, a)
}

// hint says what to try where a host without IPv4 was to ask over it.
func (m *measurement) hint(err error) error {
	four := slices.ContainsFunc(m.record.Host.Interfaces, func(i report.Interface) bool {
		return slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr().Is4() })
	})
	if four || m.c.Bool("6") {
		return err
	}
	return fmt.Errorf("%w; this host has no IPv4 address: -6 asks over IPv6, servers of IPv4 through a NAT64 if there is one", err)
}

func (m *measurement) trace(e report.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.record.Trace) < report.MaxEvents {
		m.record.Trace = append(m.record.Trace, e)
	}
}
