package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/cmd/natprobe/pair"
	"pileus/configs"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// nodePort is where nodes listen for clients (RFC 7425 section 5.1).
const nodePort = 1935

func pairCommand() *cli.Command {
	return &cli.Command{
		Name:  "pair",
		Usage: "have two hosts meet, and measure what they met by",
		Description: fmt.Sprintf(`Two engineers run it on two hosts, with the same pileus node. The first gets a code
and the command for the second. The code works once, and for %d minutes. The node
introduces the two as it does its clients; then they measure the way between them:
direct or relayed, round trip, loss, jitter, throughput each way. The rate and the
time are the smaller of what the two ask for; at most %v and %v.

Exit codes:

   0    met directly
   1    met through the node's relay
   2    no UDP to the server
   3    did not meet, or could not test: nobody came, the code is void
   64   the command line is wrong, or the code mistyped

Example:

   natprobe pair --server 203.0.113.1                       here
   natprobe pair --server 203.0.113.1 --code K7QF3-M2XDT    there`, pair.Lifetime/time.Minute, configs.BitRate(pair.MaxRate), pair.MaxTime),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "server", EnvVars: []string{"NATPROBE_SERVER"}, Usage: "be introduced by the pileus node at `HOST[:PORT]`, or rtmfp://HOST[:PORT]"},
			&cli.StringFlag{Name: "code", Usage: "meet who got `CODE` (default: make one, and wait)"},
			&cli.StringFlag{Name: "key", Usage: "developer `KEY`, where the node asks for one"},
			&cli.BoolFlag{Name: "6", Usage: "reach the node over IPv6"},
			&cli.StringFlag{Name: "rate", Value: "1mbit", Usage: "send at `RATE`"},
			&cli.DurationFlag{Name: "time", Value: 5 * time.Second, Usage: "send for `TIME`"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: meetPair,
	}
}

func meetPair(c *cli.Context) error {
	config, err := pairConfig(c)
	if err != nil {
		return err
	}
	p := startProgress(c.App.ErrWriter)
	config.Phase = p.set
	config.Ready = func() { p.say(otherSide(c, config.Code)) }
	r, err := pair.Run(c.Context, config)
	p.stop()
	switch {
	case errors.Is(err, pair.ErrNoUDP):
		return silentNode(c.Context, config, err)
	case err != nil:
		return failed(err)
	}
	if c.Bool("json") {
		err = writeJSON(c.App.Writer, r)
	} else {
		err = r.WriteText(c.App.Writer)
	}
	if err != nil {
		return failed(err)
	}
	switch r.Path {
	case pair.Direct:
		return nil
	case pair.Relayed:
		return &program.ExitError{Code: exitRelay}
	case pair.NotMet:
	}
	return &program.ExitError{Code: exitUnsure}
}

// silentNode tells no UDP from no node: STUN answers where there is UDP, or somebody says
// that nothing listens.
func silentNode(ctx context.Context, config pair.Config, silent error) error {
	c := prober.Config{Server: config.Server, Others: config.Others}
	for _, at := range append([]netip.AddrPort{config.Server}, config.Others...) {
		c.Others = append(c.Others, netip.AddrPortFrom(at.Addr(), defaultPorts[0]))
	}
	found, err := prober.Find(ctx, c)
	r := report.New(report.Record{Runs: []report.Run{found.Run}}, time.Now(), nil)
	switch {
	case err == nil:
		return failed(fmt.Errorf("no node answers at %v; UDP is there, for %v answers to STUN", config.Server, found.Run.Server))
	case r.NoUDP:
		return &program.ExitError{Code: exitNoUDP, Err: silent}
	}
	return failed(fmt.Errorf("no node answers at %v; %s", config.Server, r.Verdict))
}

func pairConfig(c *cli.Context) (pair.Config, error) {
	config := pair.Config{First: !c.IsSet("code"), Key: c.String("key"), Time: c.Duration("time")}
	var rate configs.BitRate
	err := rate.UnmarshalText([]byte(c.String("rate")))
	switch {
	case c.Args().Present():
		return config, usage("pair takes no argument, and there is %q; did you mean --code %[1]s?", c.Args().First())
	case c.String("server") == "":
		return config, usage("--server is missing: natprobe pair --server HOST, with a pileus node at HOST")
	case err != nil:
		return config, usage("--rate: %w", err)
	case rate <= 0 || rate > pair.MaxRate || config.Time <= 0 || config.Time > pair.MaxTime:
		return config, usage("--rate and --time are above 0 and at most %v and %v", configs.BitRate(pair.MaxRate), pair.MaxTime)
	}
	config.Rate = float64(rate)
	config.Code = pair.NewCode()
	if !config.First {
		if config.Code, err = pair.ParseCode(c.String("code")); err != nil {
			return config, usage("--code: %w", err)
		}
	}
	nodes, err := resolveNode(c.Context, net.DefaultResolver.LookupNetIP, "--server", c.String("server"), c.Bool("6"))
	if err != nil {
		return config, err
	}
	config.Server, config.Others = nodes[0], nodes[1:]
	config.Host, _ = os.Hostname() // it is but shown
	return config, nil
}

// otherSide says what is to be done at the other side.
func otherSide(c *cli.Context, code pair.Code) string {
	command := "natprobe pair --server " + c.String("server")
	if key := c.String("key"); key != "" {
		command += " --key " + key
	}
	if c.Bool("6") {
		command += " --6"
	}
	return fmt.Sprintf("the code is %v, for %d minutes, once; on the other host:\n\n   %s --code %[1]v\n", code, pair.Lifetime/time.Minute, command)
}
