package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/cmd/natprobe/predict"
)

func predictCommand() *cli.Command {
	return &cli.Command{
		Name:  "predict",
		Usage: "tell whether two hosts will meet, from their reports",
		Description: `Takes reports of run --record or --json, and asks the introducer's own strategies
what a node with two addresses and a relay would do. Nothing is sent. With one
report the host is held against every kind of peer, calling and called.

Exit codes: 0 direct, 1 relay, 3 cannot be told or never; with one report always 0.

Examples:

   natprobe predict --from alice.json --to bob.json
   natprobe predict --from alice.json --json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "the caller's report is in `FILE`"},
			&cli.StringFlag{Name: "to", Usage: "that of who is called is in `FILE`"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: predictMeeting,
	}
}

func predictMeeting(c *cli.Context) error {
	switch {
	case c.Args().Present():
		return usage("predict takes no argument, and there is %q; did you mean --from %[1]s?", c.Args().First())
	case c.String("from") == "":
		return usage("--from is missing: natprobe predict --from FILE [--to FILE]")
	}
	from, err := sideOf(c.String("from"))
	if err != nil {
		return err
	}
	cells := []predict.Cell(nil)
	if c.String("to") == "" {
		cells = predict.Matrix(from)
	} else {
		to, err := sideOf(c.String("to"))
		if err != nil {
			return err
		}
		cells = append(cells, predict.Between(from, to))
	}
	if c.Bool("json") {
		err = writeJSON(c.App.Writer, cells)
	} else {
		err = writeCells(c.App.Writer, cells)
	}
	if err != nil {
		return failed(err)
	}
	if len(cells) > 1 {
		return nil
	}
	switch cells[0].Path {
	case "direct":
		return nil
	case "relay":
		return &program.ExitError{Code: exitRelay}
	}
	return &program.ExitError{Code: exitUnsure}
}

func sideOf(file string) (predict.Side, error) {
	r, err := readReport(file)
	if err != nil {
		return predict.Side{}, err
	}
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	return predict.Of(name, r), nil
}

// writeCells writes a pair in a sentence, a matrix as a table.
func writeCells(w io.Writer, cells []predict.Cell) error {
	var out strings.Builder
	if len(cells) == 1 {
		c := cells[0]
		fmt.Fprintf(&out, "%s to %s: %s\n  strategy    %s\n  reason      %s\n", c.From, c.To, c.Path, c.Strategy, c.Why)
	} else {
		fmt.Fprintf(&out, "%-8s %-8s %-7s %-8s %s\n", "FROM", "TO", "PATH", "STRATEGY", "REASON")
		for _, c := range cells {
			fmt.Fprintf(&out, "%-8s %-8s %-7s %-8s %s\n", c.From, c.To, c.Path, c.Strategy, c.Why)
		}
		out.WriteString("\n")
		for _, p := range predict.Peers() {
			fmt.Fprintf(&out, "%-4s %s\n", p.Name, p.Text)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}
