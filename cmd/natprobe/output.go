package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"pileus/cmd/natprobe/page"
	"pileus/cmd/natprobe/predict"
	"pileus/configs/plain"
	"pileus/natprobe/report"
)

var jsonFlag = &cli.BoolFlag{Name: "json", Usage: "print JSON, as report.schema.json describes it"}

// outputFlags say where a report goes.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		jsonFlag,
		&cli.StringFlag{Name: "record", Usage: "write what was measured to `FILE` as well, for classify and predict"},
		&cli.BoolFlag{Name: "explain", Usage: "also tell packet by packet what was sent and what came"},
		&cli.StringFlag{Name: "html", Usage: "write a page with a picture of that to `FILE` as well"},
		&cli.StringFlag{Name: "prom", Usage: "write `FILE` for Prometheus' node exporter as well"},
	}
}

// show prints a report, and writes the files that were asked for.
func show(c *cli.Context, r report.Report) error {
	if err := writeFiles(c, r); err != nil {
		return err
	}
	return writeReport(c, r)
}

func writeFiles(c *cli.Context, r report.Report) error {
	for flag, write := range map[string]func(io.Writer) error{
		"record": func(w io.Writer) error { return writeJSON(w, r) },
		"html":   func(w io.Writer) error { return page.Write(w, r) },
		"prom":   r.WriteProm,
	} {
		if name := c.String(flag); name != "" {
			if err := writeFile(name, write); err != nil {
				return failed(err)
			}
		}
	}
	return nil
}

func writeReport(c *cli.Context, r report.Report) error {
	write := func(w io.Writer) error { return r.WriteText(w, report.Style{Color: colorOn(w)}) }
	switch {
	case c.Bool(jsonFlag.Name):
		write = func(w io.Writer) error { return writeJSON(w, r) }
	case c.Bool("explain"):
		text := write
		write = func(w io.Writer) error {
			err := text(w)
			_, blank := io.WriteString(w, "\n")
			return errors.Join(err, blank, r.WriteTrace(w))
		}
	}
	if err := write(c.App.Writer); err != nil {
		return failed(err)
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// writeFile replaces a file as a whole or not at all: others may be reading it.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // there is none once it has its name
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil { //nolint:gosec // a report is no secret
		return err
	}
	return os.Rename(f.Name(), name)
}

func classifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "classify",
		Usage:     "read a report of run --record or --json, and classify it again",
		ArgsUsage: "FILE",
		Description: `FILE is a report, or - for standard input. Nothing is sent.

Example:

   natprobe run --server 203.0.113.1 --record site.json; natprobe classify site.json`,
		Flags:  outputFlags(),
		Action: classify,
	}
}

func classify(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return usage("classify takes one file; see natprobe classify --help")
	}
	r, err := readReport(c.Args().First())
	if err != nil {
		return err
	}
	if err := show(c, r); err != nil {
		return err
	}
	return verdictOf(r)
}

// maxReport is far more than a report is long, in bytes.
const maxReport = 16 << 20

// readReport reads a report, and draws its conclusions again.
func readReport(name string) (report.Report, error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return report.Report{}, failed(err)
		}
		defer f.Close()
		in = f
	}
	var r report.Report
	content, err := io.ReadAll(io.LimitReader(in, maxReport))
	if err != nil {
		return r, failed(err)
	}
	if content, err = plain.Text(content); err != nil { // > of PowerShell writes UTF-16
		return r, failed(fmt.Errorf("%s %w", name, err))
	}
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(&r); err != nil {
		return r, failed(fmt.Errorf("%s is no report of natprobe: %w", name, err))
	}
	if r.Schema != report.Schema {
		return r, failed(fmt.Errorf("%s is no report that this natprobe reads: its schema is %q, not %q", name, r.Schema, report.Schema))
	}
	return report.New(r.Record, r.End(), predict.Reach), nil
}
