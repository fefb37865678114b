package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/natprobe/report"
)

// minEvery keeps a watch from being a burden to the server's limits.
const minEvery = 10 * time.Second

func watchCommand() *cli.Command {
	return &cli.Command{
		Name:  "watch",
		Usage: "repeat the test, and show what changes",
		Description: `Prints a report, then a line with the time for each test: what changed, or that nothing
did. A test that cannot be done, while the network is away for instance, is a line too,
and does not end the watch. Ends with Ctrl-C, or after --times, with a summary; the exit
code is the last test's.

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
	if namesTURN(c.Args().First()) {
		return errArgumentTURN
	}
	if c.Args().Present() {
		return usage("watch takes no argument, and there is %q; see natprobe watch --help", c.Args().First())
	}
	every := c.Duration("every")
	if every < minEvery {
		return usage("--every: %v is less than %v", every, minEvery)
	}
	w := watcher{
		out: c.App.Writer, errs: c.App.ErrWriter, json: c.Bool(jsonFlag.Name), times: c.Int("times"), every: every,
		measure: func() (report.Report, error) { return measure(c) },
		first:   func(r report.Report) error { return writeReport(c, r) },
		files:   func(r report.Report) error { return writeFiles(c, r) },
	}
	return w.run(c.Context)
}

// watcher repeats a test. What fails once may work the next time: only what is wrong from
// the beginning ends it.
type watcher struct {
	out, errs io.Writer
	json      bool
	every     time.Duration
	times     int // tests at most; 0: no limit

	measure func() (report.Report, error)
	first   func(report.Report) error // writes a whole report
	files   func(report.Report) error

	began                time.Time
	tests, done, changes int
	latest               report.Report
	known                report.Report // the latest in which a server was heard of
	lost                 time.Time     // since when none is; zero: one is
	losses               int
	away                 time.Duration // in all, of those that are over
}

func (w *watcher) run(ctx context.Context) error {
	w.began = time.Now()
	ticks := time.NewTicker(w.every)
	defer ticks.Stop()
	for ctx.Err() == nil {
		r, err := w.measure()
		wrong, ok := errors.AsType[*program.ExitError](err)
		switch {
		case w.tests == 0 && ok && wrong.Code == exitUsage:
			return err
		case ctx.Err() != nil && w.tests > 0: // half a test would look like a change
			continue
		case err != nil:
			r = report.Unmeasured(err.Error())
		}
		w.tests++
		if err := w.show(r); err != nil {
			return failed(err)
		}
		if w.tests == w.times {
			break
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
		}
	}
	w.summarize()
	return verdictOf(w.latest)
}

// show writes what a test found. Its files are written each time; that this fails ends the
// watch only when it began with it.
func (w *watcher) show(r report.Report) error {
	w.latest = r
	if err := w.files(r); err != nil {
		if w.tests == 1 {
			return err
		}
		fmt.Fprintf(w.errs, "natprobe: %v\n", err)
	}
	lines := w.compare(r)
	switch {
	case w.json:
		return w.first(r)
	case w.tests == 1:
		if err := w.say("first test"); err != nil {
			return err
		}
		return w.first(r)
	}
	for _, l := range lines {
		if err := w.say(l); err != nil {
			return err
		}
	}
	return nil
}

// compare says in lines what is new, against the last time that anything was known.
func (w *watcher) compare(r report.Report) (lines []string) {
	now := time.Now()
	if !r.Seen.IsValid() {
		if w.lost.IsZero() {
			w.lost = now
			w.losses++
		}
		return []string{r.Verdict}
	}
	w.done++
	if !w.lost.IsZero() {
		if w.tests > 1 {
			lines = append(lines, fmt.Sprintf("answered again, after %v", now.Sub(w.lost).Round(time.Second)))
		}
		w.away += now.Sub(w.lost)
		w.lost = time.Time{}
	}
	if w.known.Seen.IsValid() {
		changes := report.Changes(w.known, r)
		w.changes += len(changes)
		lines = append(lines, changes...)
	} else if w.tests > 1 {
		lines = append(lines, r.Verdict)
	}
	w.known = report.Remember(w.known, r)
	if lines == nil {
		lines = []string{fmt.Sprintf("no change: %v, seen as %v", r.Class, r.Seen.Addr())}
	}
	return lines
}

func (w *watcher) say(text string) error {
	_, err := fmt.Fprintf(w.out, "%s  %s\n", time.Now().Format(time.DateTime), text)
	return err
}

// summarize says what there was, for people: where others read JSON, beside it.
func (w *watcher) summarize() {
	out := w.out
	if w.json {
		out = w.errs
	}
	now := time.Now()
	text := fmt.Sprintf("%s in %v, %d answered; %s", count(w.tests, "test"), now.Sub(w.began).Round(time.Second), w.done, count(w.changes, "change"))
	if away := w.away; w.losses > 0 {
		if !w.lost.IsZero() {
			away += now.Sub(w.lost)
		}
		text += fmt.Sprintf("; no answer %s, %v in all", count(w.losses, "time"), away.Round(time.Second))
	}
	fmt.Fprintf(out, "%s  %s\n", now.Format(time.DateTime), text)
}

func count(n int, of string) string {
	if n != 1 {
		of += "s"
	}
	return fmt.Sprintf("%d %s", n, of)
}
