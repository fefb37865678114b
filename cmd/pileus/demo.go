package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/pileus/demo"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "watch peers behind simulated NATs being classified, introduced, relayed",
		Description: `Needs no privileges, no network and no second terminal: a node, and peers behind
six kinds of simulated NAT, run in this process. The node finds out what each NAT
does; then every two peers look each other up by name, are introduced, and one
plays a stream of the other: straight through both NATs, or by the node's relay.

What to look at:

  public    one side takes packets from anybody: it is enough to tell who is where
  lan       both are behind one NAT: their local addresses come first
  punch     both send at once, and each NAT takes the other's packets for answers
  predict   one NAT takes a new port for each destination, in order: the next ones
            are named in advance
  relay     a port for each destination, and none to be foreseen, towards somebody
            who lets in only ports that were sent to: the node forwards, without
            being able to read

At last, one of the relayed pairs streams as much as it can, under a limit of the
relay: it should get nearly all of that, and lose nothing.

On a terminal it takes some seconds, elsewhere less than one.

Exit codes: 0 all met, and the limit held, as expected; 1 not so.` + examples(
			"demo",
			"demo --fast",
			"demo --json | jq -c 'select(.event == \"met\") | [.from, .to, .strategy, .ms]'",
			"demo --delay 100ms",
		),
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "delay", Usage: "let a packet take `TIME` from one site to another, 1ms to 150ms", Value: demo.DefaultDelay},
			&cli.BoolFlag{Name: "fast", Usage: "do not wait for anybody to read along"},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object for each event, one a line"},
		},
		Action: runDemo,
	}
}

// demoSpeed is how many simulated seconds pass in one on a terminal.
const demoSpeed = 1.5

// The bounds of --delay. Above, clients repeat themselves before they can have an
// answer, which shows something else.
const (
	minDemoDelay = time.Millisecond
	maxDemoDelay = 150 * time.Millisecond
)

func runDemo(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	cfg := demo.Config{Delay: c.Duration("delay")}
	if cfg.Delay < minDemoDelay || cfg.Delay > maxDemoDelay {
		return usage("--delay: %v is not between %v and %v; see %s demo --help", cfg.Delay, minDemoDelay, maxDemoDelay, call())
	}
	var audience interface {
		demo.Audience
		End(err error)
	}
	if c.Bool("json") {
		audience = demo.NewJSON(c.App.Writer)
	} else {
		if isTerminal(c.App.Writer) && !c.Bool("fast") {
			cfg.Speed = demoSpeed
		}
		audience = demo.NewText(c.App.Writer, cfg.Delay)
	}
	ctx, release := signal.NotifyContext(c.Context, os.Interrupt)
	defer release()
	err := demo.Run(ctx, cfg, audience)
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	audience.End(err)
	return err
}
