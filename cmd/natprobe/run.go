package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/natprobe"
	"pileus/natprobe/report"
)

// Exit codes are the answer, for scripts.
const (
	exitDirect = 0
	exitRelay  = 1
	exitNoUDP  = 2
	exitUnsure = 3
	exitUsage  = program.ExitUsage
)

func usage(format string, args ...any) error { return program.Usage(format, args...) }

func failed(err error) error { return &program.ExitError{Code: exitUnsure, Err: err} }

// run is the whole program but for the process around it. Reports go to stdout,
// what went wrong to stderr; the result is the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := &cli.App{
		Name:  "natprobe",
		Usage: "tells what the NAT in front of this host does",
		Description: `Asks a pileus node, or any RFC 5780 server, and prints whether this host can
meet peers without a relay. The first line is the verdict, the evidence is below.

   natprobe run --server stun.example.org

Exit codes:

   0    direct with home routers and all easier kinds
   1    a home router can be reached through a relay only
   2    no UDP: nothing came back from any server
   3    could not test: no server was named or found, what came is no answer, or what
        was seen fits several kinds
   64   the command line is wrong`,
		Commands:  []*cli.Command{runCommand(), watchCommand(), classifyCommand(), predictCommand(), relayCommand(), pairCommand(), serveCommand(), labCommand()},
		Writer:    stdout,
		ErrWriter: stderr,
	}
	return program.Run(ctx, app, app.Name, exitUsage, args)
}

// verdictOf is the exit code that says what a report says.
func verdictOf(r report.Report) error {
	switch {
	case r.NoUDP:
		return &program.ExitError{Code: exitNoUDP}
	case r.Direct == natprobe.Yes:
		return nil
	case r.Direct == natprobe.No:
		return &program.ExitError{Code: exitRelay}
	}
	return &program.ExitError{Code: exitUnsure}
}
