package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/natprobe/report"
)

// minEvery keeps a watch from being a burden to the server's limits.
const minEvery = 10 * time.Second

func watchCommand() *cli.Command {
	return &cli.Command{
		Name:  "watch",
		Usage: "repeat the test, and show what changes",
		Description: `Prints a report, then a line for each change. Ends with Ctrl-C, or after --times;
the exit code is the last verdict's.

Example:

   natprobe watch --server 203.0.113.1 --every 5m --prom /var/lib/node_exporter/natprobe.prom`,
		Flags: append(append(measureFlags(),
			&cli.DurationFlag{Name: "every", Value: time.Minute, Usage: "begin a test each `TIME`; one that takes longer delays the next"},
			&cli.IntFlag{Name: "times", Usage: "end after `N` tests (default: never)"},
		), outputFlags()...),
		Action: watch,
	}
}

func watch(c *cli.Context) error {
	if c.Args().Present() {
		return usage("watch takes no argument, and there is %q; see natprobe watch --help", c.Args().First())
	}
	every := c.Duration("every")
	if every < minEvery {
		return usage("--every: %v is less than %v", every, minEvery)
	}
	var last report.Report
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for n := 1; ; n++ {
		r, err := measure(c)
		if err != nil {
			return err
		}
		if c.Err() != nil && n > 1 {
			break // half a test would look like a change
		}
		if err := showChange(c, last, r, n == 1); err != nil {
			return err
		}
		last = r
		if n == c.Int("times") {
			break
		}
		select {
		case <-ticks.C:
		case <-c.Done():
			return verdictOf(last)
		}
	}
	return verdictOf(last)
}

// showChange prints the first report whole, of others what is new; the files are
// written each time.
func showChange(c *cli.Context, last, r report.Report, first bool) error {
	if first {
		return show(c, r)
	}
	if err := writeFiles(c, r); err != nil {
		return err
	}
	if c.Bool(jsonFlag.Name) {
		return writeReport(c, r)
	}
	for _, change := range report.Changes(last, r) {
		if _, err := fmt.Fprintf(c.App.Writer, "%s  %s\n", time.Now().Format(time.DateTime), change); err != nil {
			return failed(err)
		}
	}
	return nil
}
