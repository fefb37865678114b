package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/cmd/natprobe/pair"
	"pileus/configs"
	"pileus/natprobe/relayed"
)

// turnFlag is for whoever asks a TURN server.
func turnFlag() *cli.StringSliceFlag {
	return &cli.StringSliceFlag{
		Name: "turn", EnvVars: []string{"NATPROBE_TURN"}, KeepSpace: true,
		Usage: "ask for a relay at `URL`, turn:USER:PASSWORD@HOST[:PORT][?transport=tcp], or turns: for TLS; USER may be EXPIRY:NAME of the TURN REST API, any other colon in it is %3A, and a percent sign %25; repeatable",
	}
}

func relayCommand() *cli.Command {
	return &cli.Command{
		Name:  "relay",
		Usage: "measure a relay, TURN's or a node's own: throughput, delay, jitter, loss",
		Description: fmt.Sprintf(`Has this host write to itself through the relay, both ways at once. The rate is of
payload, each way; at most %v through TURN and %v through a splice, for %v, and
%d million bytes in all.

A splice is what a pileus node relays RTMFP peers by that cannot meet. Two clients on
this host connect to the node, and refuse to meet but by its relay. The node's
quotas and limits hold for them as for others. What a splice loses on the way the
peers send again: beside the loss for good, which takes half a second without
success, the share of packets lost is shown.

Exit codes: 0 packets came through, 1 no relay or no packet, 3 interrupted, 64 the
command line.

Examples:

   natprobe relay --turn turn:alice:secret@203.0.113.1 --rate 2mbit --time 10s
   natprobe relay --turn turn:1767225600:alice:c2VjcmV0/w==@203.0.113.1
   natprobe relay --splice 203.0.113.1`, configs.BitRate(relayed.MaxRate), configs.BitRate(pair.MaxRate), relayed.MaxTime, relayed.MaxBytes/1_000_000),
		Flags: []cli.Flag{
			turnFlag(),
			&cli.StringSliceFlag{Name: "splice", Usage: "have the pileus node at `HOST[:PORT]` relay; repeatable"},
			&cli.StringFlag{Name: "key", Usage: "developer `KEY`, where the node asks for one"},
			&cli.BoolFlag{Name: "6", Usage: "reach the node over IPv6"},
			&cli.StringFlag{Name: "rate", Value: "1mbit", Usage: "send at `RATE`"},
			&cli.DurationFlag{Name: "time", Value: 5 * time.Second, Usage: "send for `TIME`"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, one value for each relay, as relay.schema.json describes it"},
		},
		Action: measureRelay,
	}
}

// measurable is a relay to measure.
type measurable struct {
	name, at string
	measure  func(context.Context) (relayed.Result, error)
}

func measureRelay(c *cli.Context) error {
	p := startProgress(c.App.ErrWriter)
	defer p.stop()
	relays, err := relaysOf(c, p)
	if err != nil {
		return err
	}
	for _, m := range relays {
		p.set("through " + m.name + " at " + m.at)
		r, err := m.measure(c.Context)
		switch {
		case c.Err() != nil && r.ToRelay.Received == 0:
			return failed(errors.New("interrupted before a packet came through"))
		case err != nil:
			return &program.ExitError{Code: exitRelay, Err: fmt.Errorf("%s at %s: %w", m.name, m.at, err)}
		}
		if err := writeRelay(c, r); err != nil {
			return failed(err)
		}
		switch {
		case c.Err() != nil:
			return failed(errors.New("interrupted: what is printed was measured until then"))
		case r.ToRelay.Received == 0 || r.Back.Received == 0:
			return &program.ExitError{Code: exitRelay, Err: fmt.Errorf("%s at %s: no packet came through", m.name, m.at)}
		}
	}
	return nil
}

// errArgumentTURN repeats no password.
var errArgumentTURN = usage("no argument is taken; a TURN server goes behind --turn")

func namesTURN(argument string) bool {
	scheme, _, _ := strings.Cut(argument, ":")
	return strings.EqualFold(scheme, "turn") || strings.EqualFold(scheme, "turns")
}

// relaysOf reads the command line.
func relaysOf(c *cli.Context, p *progress) (all []measurable, err error) {
	turns, err := turnServers(c)
	if err != nil {
		return nil, err
	}
	splices := c.StringSlice("splice")
	rate, err := loadOf(c, len(splices) > 0)
	switch {
	case namesTURN(c.Args().First()):
		return nil, errArgumentTURN
	case c.Args().Present():
		return nil, usage("relay takes no argument, and there is %q; did you mean --splice %[1]s?", c.Args().First())
	case len(turns)+len(splices) == 0:
		return nil, usage("name a relay: natprobe relay --turn turn:USER:PASSWORD@HOST, or --splice HOST with a pileus node at HOST")
	case err != nil:
		return nil, err
	}
	duration := c.Duration("time")
	for _, s := range turns {
		all = append(all, measurable{s.Name(), s.String(), func(ctx context.Context) (relayed.Result, error) {
			return relayed.Measure(ctx, s, rate, duration)
		}})
	}
	for _, name := range splices {
		nodes, err := resolveNode(c.Context, net.DefaultResolver.LookupNetIP, "--splice", name, c.Bool("6"))
		if err != nil {
			return nil, err
		}
		all = append(all, measurable{"splice", nodes[0].String(), func(ctx context.Context) (relayed.Result, error) {
			return pair.Through(ctx, pair.Config{Server: nodes[0], Others: nodes[1:], Key: c.String("key"), Rate: rate, Time: duration, Phase: p.set})
		}})
	}
	return all, nil
}

// loadOf reads --rate and --time, in bits a second.
func loadOf(c *cli.Context, splice bool) (float64, error) {
	var rate configs.BitRate
	if err := rate.UnmarshalText([]byte(c.String("rate"))); err != nil {
		return 0, usage("--rate: %w", err)
	}
	most, duration := configs.BitRate(relayed.MaxRate), c.Duration("time")
	if splice {
		most = configs.BitRate(pair.MaxRate)
	}
	switch {
	case rate <= 0 || rate > most || duration <= 0 || duration > relayed.MaxTime:
		return 0, usage("--rate and --time are above 0 and at most %v and %v", most, relayed.MaxTime)
	case float64(rate)/8*duration.Seconds() > relayed.MaxBytes:
		return 0, usage("--rate times --time are %.0f million bytes, and at most %d are sent", float64(rate)/8*duration.Seconds()/1e6, relayed.MaxBytes/1_000_000)
	}
	return float64(rate), nil
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
	_, err := io.WriteString(c.App.Writer, relayText(r))
	return err
}

// relayText is a result for people.
func relayText(r relayed.Result) string {
	var b strings.Builder
	loaded, to := "", "to relay"
	if r.Over == relayed.Splice {
		to = "there"
	}
	if r.LoadedRTT > 0 {
		loaded = fmt.Sprintf(", %.0f under load", r.LoadedRTT)
	}
	fmt.Fprintf(&b, "relay %v at %s over %s: %.0f ms there and back%s\n", r.Relayed, r.Server, r.Over, r.RTT, loaded)
	for _, w := range []struct {
		name string
		relayed.Way
	}{{to, r.ToRelay}, {"back", r.Back}} {
		lost := w.Sent - w.Received
		fmt.Fprintf(&b, "  %-9s %6.0f kbit/s of %.0f, ", w.name, w.Rate/1000, r.Asked/1000)
		if r.Over == relayed.Splice {
			fmt.Fprintf(&b, "%.1f %% of the packets lost (%d of %d messages for good), jitter %.1f ms\n", w.PacketLoss*100, lost, w.Sent, w.Jitter)
		} else {
			fmt.Fprintf(&b, "%d of %d packets lost (%.1f %%), %.1f ms, jitter %.1f ms, %d out of order\n", lost, w.Sent, w.Loss*100, w.Delay, w.Jitter, w.OutOfOrder)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  %-9s %s\n", "note", n)
	}
	return b.String()
}
