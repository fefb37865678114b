package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/configs"
	"pileus/natprobe/relayed"
)

// turnFlag is for whoever asks a TURN server.
func turnFlag() *cli.StringSliceFlag {
	return &cli.StringSliceFlag{
		Name: "turn", EnvVars: []string{"NATPROBE_TURN"}, KeepSpace: true,
		Usage: "ask for a relay at `URL`, turn:USER:PASSWORD@HOST[:PORT][?transport=tcp], or turns: for TLS; repeatable",
	}
}

func relayCommand() *cli.Command {
	return &cli.Command{
		Name:  "relay",
		Usage: "measure a TURN relay: throughput, delay, jitter, loss",
		Description: fmt.Sprintf(`Has this host write to itself through the relay, both ways at once. The rate is of
payload, each way; at most %v and %v.

Exit codes: 0 packets came through, 1 no relay or no packet, 64 the command line.

Example:

   natprobe relay --turn turn:alice:secret@203.0.113.1 --rate 2mbit --time 10s`, configs.BitRate(relayed.MaxRate), relayed.MaxTime),
		Flags: []cli.Flag{
			turnFlag(),
			&cli.StringFlag{Name: "rate", Value: "1mbit", Usage: "send at `RATE`"},
			&cli.DurationFlag{Name: "time", Value: 5 * time.Second, Usage: "send for `TIME`"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: measureRelay,
	}
}

func measureRelay(c *cli.Context) error {
	servers, err := turnServers(c)
	if err != nil {
		return err
	}
	var rate configs.BitRate
	duration := c.Duration("time")
	switch err := rate.UnmarshalText([]byte(c.String("rate"))); {
	case c.Args().Present():
		return usage("relay takes no argument, and there is %q", c.Args().First())
	case len(servers) == 0:
		return usage("--turn is missing: natprobe relay --turn turn:USER:PASSWORD@HOST")
	case err != nil:
		return usage("--rate: %w", err)
	case rate <= 0 || rate > relayed.MaxRate || duration <= 0 || duration > relayed.MaxTime:
		return usage("--rate and --time are above 0 and at most %v and %v", configs.BitRate(relayed.MaxRate), relayed.MaxTime)
	}
	p := startProgress(c.App.ErrWriter)
	defer p.stop()
	for _, s := range servers {
		p.set("through " + s.Name() + " at " + s.String())
		r, err := relayed.Measure(c.Context, s, float64(rate), duration)
		if err != nil {
			return &program.ExitError{Code: exitRelay, Err: fmt.Errorf("%s at %s: %w", s.Name(), s, err)}
		}
		if err := writeRelay(c, r); err != nil {
			return failed(err)
		}
		if r.ToRelay.Received == 0 || r.Back.Received == 0 {
			return &program.ExitError{Code: exitRelay, Err: fmt.Errorf("%s at %s: no packet came through", s.Name(), s)}
		}
	}
	return nil
}

func turnServers(c *cli.Context) ([]relayed.Server, error) {
	var servers []relayed.Server
	for _, text := range c.StringSlice("turn") {
		s, err := relayed.Parse(text)
		if err != nil {
			return nil, usage("--turn: %w", err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

func writeRelay(c *cli.Context, r relayed.Result) error {
	if c.Bool("json") {
		return writeJSON(c.App.Writer, r)
	}
	_, err := fmt.Fprintf(c.App.Writer, "relay %v at %s over %s: %.0f ms there and back\n", r.Relayed, r.Server, r.Over, r.RTT)
	for _, w := range []struct {
		name string
		relayed.Way
	}{{"to relay", r.ToRelay}, {"back", r.Back}} {
		if err == nil {
			_, err = fmt.Fprintf(c.App.Writer, "  %-9s %6.0f kbit/s of %.0f, %d of %d packets lost (%.1f %%), %.1f ms, jitter %.1f ms, %d out of order\n",
				w.name, w.Rate/1000, r.Asked/1000, w.Sent-w.Received, w.Sent, w.Loss*100, w.Delay, w.Jitter, w.OutOfOrder)
		}
	}
	return err
}
