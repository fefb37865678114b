package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"pileus/natprobe"
)

// Exit codes are the answer, for scripts. The last is sysexits' EX_USAGE.
const (
	exitDirect = 0
	exitRelay  = 1
	exitNoUDP  = 2
	exitUnsure = 3
	exitUsage  = 64
)

// failure is an error that decides the exit code; without err it was said
// already.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit %d", f.code)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

func usage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

func failed(err error) error { return &failure{exitUnsure, err} }

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
   2    no UDP to the server
   3    could not test: no server was named or found, or what was seen fits several kinds
   64   the command line is wrong`,
		Commands:                  []*cli.Command{runCommand(), watchCommand(), classifyCommand(), predictCommand(), relayCommand(), serveCommand(), labCommand()},
		Writer:                    stdout,
		ErrWriter:                 stderr,
		HideVersion:               true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		OnUsageError:              usageError,
		Action:                    noCommand,
		// The library would end the process; the code goes through run instead.
		ExitErrHandler: func(*cli.Context, error) {},
	}
	for _, c := range app.Commands {
		c.OnUsageError = usageError
		c.HideHelpCommand = true
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	return exitCode(stderr, app.RunContext(ctx, append([]string{"natprobe"}, args...)))
}

func exitCode(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := exitUsage // the library itself only refuses command lines
	if f, ok := errors.AsType[*failure](err); ok {
		code = f.code
		if f.err == nil {
			return code
		}
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "natprobe: %s\n", strings.TrimRight(line, "\n"))
	}
	return code
}

func noCommand(c *cli.Context) error {
	if c.Args().Present() {
		return usage("there is no command %q; there are run, watch, classify, predict, relay, serve and lab", c.Args().First())
	}
	c.App.Writer = c.App.ErrWriter // nobody asked for help: it is no data
	_ = cli.ShowAppHelp(c)
	return &failure{code: exitUsage}
}

func usageError(c *cli.Context, err error, isSubcommand bool) error {
	at := "natprobe"
	if isSubcommand {
		at += " " + c.Command.Name
	}
	if flag, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		return usage("there is no flag --%s; see %s --help", flag, at)
	}
	return usage("%w; see %s --help", err, at)
}

// verdictOf is the exit code that says what a report says.
func verdictOf(r natprobe.Report) error {
	switch {
	case r.NoUDP:
		return &failure{code: exitNoUDP}
	case r.Direct == natprobe.Yes:
		return nil
	case r.Direct == natprobe.No:
		return &failure{code: exitRelay}
	}
	return &failure{code: exitUnsure}
}
