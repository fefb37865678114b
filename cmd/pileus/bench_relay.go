package main

import (
	"github.com/urfave/cli/v2"

	"pileus/cmd/pileus/bench"
)

func benchRelayCommand() *cli.Command {
	return &cli.Command{
		Name:  "relay",
		Usage: "packets through the splice relay and TURN servers, side by side: how many, at what cost, how late",
		Description: `Makes three network namespaces joined by veth cables, starts the relays in the
middle one on core 0, and relays packets from core 1 between the other two:
first one packet of each pair in turn, then several of one in a row. Only one
relay at a time is loaded. What the relay's network stack receives is done, and
counted, on the relay's core, and every packet crosses a cable alone: loopback
flatters, and is not used. Needs Linux and root. Three relays and three rounds
take about five minutes.

For each it tells
  how many packets a second it delivers with less than 0.5 % lost;
  how many when twice as many are offered, and whether they were;
  how many for each second of CPU time: at one rate for all, 70 % of what the
  slowest delivers without loss, in short slices in turns; and at 90 % of its own;
  how much later packets come than without a relay.
Results are medians of the rounds, and ratios of the first relay to the others.
The one called "slice by slice" is the median ratio of neighbouring slices, which
other work on the machine moves least.

Rates and CPU time are of Ethernet frames that packet sockets put on the cables
and count below IP at the other end, delays are of packets between ordinary
sockets. A server named by --turn is loaded from ordinary sockets alone.` + examples(
			"bench relay",
			"bench relay --target splice --target 'other=turnserver -n --listening-ip {ip} --listening-port {port} --lt-cred-mech --user {user}:{password} --realm r'",
			"bench relay --turn 192.0.2.1:3478 --user ann --password 1234",
		),
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "target", Usage: "measure `RELAY`: splice (this program's, alone in a process), turn (a node's), pion (what a node's is made of, bare), coturn (the turnserver installed here), or NAME=COMMAND, a TURN server that is told {ip}, {port}, {user} and {password}; may be repeated (default splice, turn, coturn)"},
			&cli.StringFlag{Name: "turn", Usage: "measure the TURN server at `HOST:PORT`, as it is and from here"},
			&cli.StringFlag{Name: "user", Usage: "`NAME` at that server"},
			&cli.StringFlag{Name: "password", Usage: "`PASSWORD` at that server"},
			&cli.IntFlag{Name: "pid", Usage: "read that server's CPU time from process `PID`"},
			&cli.IntFlag{Name: "pairs", Usage: "`N` pairs, half of which send each way (default 64)"},
			&cli.IntFlag{Name: "size", Usage: "`BYTES` of UDP payload a packet (default 1200)"},
			&cli.IntFlag{Name: "burst", Usage: "`N` packets of one pair in a row, in the second pattern (default 8)"},
			&cli.IntFlag{Name: "rate", Usage: "measure delay at `N` packets a second (default 20000)"},
			&cli.IntFlag{Name: "rounds", Usage: "repeat `N` times and report medians (default 3)"},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object for each measurement instead of a table; round 0 holds the medians"},
		},
		Action: benchRelay,
	}
}

// benchSpliceCommand is the process that bench relay starts to have a relay and
// nothing else in it: the splices come on its standard input.
func benchSpliceCommand() *cli.Command {
	return &cli.Command{
		Name:   bench.SpliceCommand,
		Usage:  "relay the splices that standard input names (started by bench relay)",
		Hidden: true,
		Action: func(c *cli.Context) error {
			return bench.ServeSplices(c.Context, c.App.Reader, c.App.Writer)
		},
	}
}

// benchPionCommand is the process that bench relay starts to have pion/turn
// and nothing else in it.
func benchPionCommand() *cli.Command {
	return &cli.Command{
		Name:   bench.PionCommand,
		Usage:  "serve TURN at ADDRESS for USER with PASSWORD (started by bench relay)",
		Hidden: true,
		Action: func(c *cli.Context) error {
			const arguments = 3
			if c.NArg() != arguments {
				return usage("give an address, a user and a password")
			}
			ctx, _, release := stopping(c.Context)
			defer release()
			return bench.ServePion(ctx, c.Args().Get(0), c.Args().Get(1), c.Args().Get(2))
		},
	}
}

func benchRelay(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	cfg := bench.RelayConfig{
		Targets:  c.StringSlice("target"),
		User:     c.String("user"),
		Password: c.String("password"),
		PID:      c.Int("pid"),
		Pairs:    c.Int("pairs"),
		Size:     c.Int("size"),
		Burst:    c.Int("burst"),
		Rate:     c.Int("rate"),
		Rounds:   c.Int("rounds"),
		JSON:     c.Bool("json"),
		Results:  c.App.Writer,
		Progress: c.App.ErrWriter,
	}
	if s := c.String("turn"); s != "" {
		var err error
		if cfg.Turn, err = resolve(s); err != nil {
			return usage("--turn: %w", err)
		}
	}
	if err := cfg.Validate(); err != nil {
		return usage("%w; see %s bench relay --help", err, call())
	}
	ctx, _, release := stopping(c.Context)
	defer release()
	return bench.RunRelay(ctx, cfg)
}
