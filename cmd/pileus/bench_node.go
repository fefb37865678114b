package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v2"

	"pileus/cmd/pileus/bench"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "load a server on this machine and tell what it costs",
		Subcommands: []*cli.Command{{
			Name:  "node",
			Usage: "handshakes, introductions, idle peers and floods against any RTMFP server",
			Description: `Simulates RTMFP clients, each with a source address of its own in 127.0.0.0/8,
and reports what they saw; with --pid or --run also the server's CPU time and
memory. Works against any server that speaks RTMFP. Every phase is bounded in
time; all of them take about two minutes a round. If one of them fails, the exit
code is 1.

With --run the tool starts each server itself, afresh for every measurement, on
core 0 with the load on core 1, in turns; the result is the median of the
rounds, and the ratio of the first server to the others.

Measurements: ` + strings.Join(bench.Names(), ", ") + `.` + examples(
				"bench node --server 127.0.0.1:1935 --pid $(pidof pileus)",
				"bench node --server 127.0.0.1:2935 --run 'ours=pileus serve --listen 127.0.0.1:2935' --run 'other=PROGRAM ARGUMENTS'",
			),
			Flags:  benchFlags(),
			Action: benchNode,
		}, benchRelayCommand(), benchSpliceCommand(), benchPionCommand()},
	}
}

func benchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "server", Usage: "load the server at `HOST:PORT`"},
		&cli.IntFlag{Name: "pid", Usage: "read CPU time and memory of process `PID`"},
		&cli.StringSliceFlag{Name: "run", Usage: "start the server itself: `NAME=COMMAND`, without a shell; may be repeated"},
		&cli.IntFlag{Name: "rounds", Usage: "repeat `N` times and report medians (default 1, with --run 3)"},
		&cli.StringSliceFlag{Name: "only", Usage: "do only this `MEASUREMENT`; may be repeated"},
		&cli.IntFlag{Name: "peers", Usage: "`N` idle peers (default 10000)"},
		&cli.IntFlag{Name: "seconds", Usage: "`N` seconds for each phase with a rate (default 10)"},
		&cli.StringFlag{Name: "app", Usage: "connect to `PATH` (default \"bench\")"},
		&cli.StringFlag{Name: "sources", Usage: "let the peers come from `CIDR`, an IPv4 /8 or larger (default 127.0.0.0/8)"},
		&cli.BoolFlag{Name: "allow-remote", Usage: "permit a server that is not on the loopback interface: only in network namespaces of your own"},
		&cli.BoolFlag{Name: "json", Usage: "print a JSON object for each measurement instead of a table; round 0 holds the medians"},
	}
}

func benchNode(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if !c.IsSet("server") {
		return usage("no server: name it with --server HOST:PORT; see %s bench node --help", call())
	}
	server, err := resolve(c.String("server"))
	if err != nil {
		return usage("--server: %w", err)
	}
	cfg := bench.Config{
		Server:      server,
		PID:         c.Int("pid"),
		Commands:    c.StringSlice("run"),
		AllowRemote: c.Bool("allow-remote"),
		Rounds:      c.Int("rounds"),
		Only:        c.StringSlice("only"),
		Peers:       c.Int("peers"),
		Seconds:     c.Int("seconds"),
		App:         c.String("app"),
		JSON:        c.Bool("json"),
		Results:     c.App.Writer,
		Progress:    c.App.ErrWriter,
	}
	if s := c.String("sources"); s != "" {
		if cfg.Sources, err = netip.ParsePrefix(s); err != nil {
			return usage("--sources: %w", err)
		}
	}
	if err := cfg.Validate(); err != nil {
		return usage("%w; see %s bench node --help", err, call())
	}
	return bench.Run(c.Context, cfg)
}

// resolve reads HOST:PORT, preferring IPv4.
func resolve(s string) (netip.AddrPort, error) {
	a, err := net.ResolveUDPAddr("udp4", s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not HOST:PORT: %w", s, err)
	}
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), nil
}
