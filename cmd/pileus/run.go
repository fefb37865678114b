package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
)

// commands are in the order in which the help lists them.
func commands() []*cli.Command {
	return []*cli.Command{
		serveCommand(),
		peerCommand(),
		checkCommand(),
		statusCommand(),
		peersCommand(),
		introductionsCommand(),
		tenantsCommand(),
		drainCommand(),
		reloadCommand(),
		keyCommand(),
		tokenCommand(),
		versionCommand(),
		demoCommand(),
		benchCommand(),
	}
}

// run is the whole program but for the process around it. What is data goes to
// stdout, what is said to people to stderr; the result is the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := &cli.App{
		Name:  "pileus",
		Usage: "introduces RTMFP peers to each other",
		Description: `A node beside, or instead of, an RTMFP server: clients connect, and find each
other by their peer IDs. Clients need no change (Flash, AIR, librtmfp, ...).

Start here, then try what it prints:

   ` + call() + ` serve

Exit codes:

   0    what was asked for happened
   1    it did not: a wrong configuration, a port in use, refused, not found
   2    peer: nobody answered
   64   the command line is wrong`,
		Commands:  commands(),
		Writer:    stdout,
		ErrWriter: stderr,
	}
	return program.Run(ctx, app, call(), exitFailure, args)
}

func init() { cli.FlagStringer = describeFlag }

// describeFlag is a flag's line in the help. The library's own says everything
// twice for a flag that may be repeated.
func describeFlag(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return f.String()
	}
	var names []string
	for _, n := range f.Names() {
		if len(n) == 1 {
			names = append(names, "-"+n)
		} else {
			names = append(names, "--"+n)
		}
	}
	value, use := unquote(d.GetUsage())
	if d.TakesValue() && value != "" {
		names[len(names)-1] += " " + value
	}
	return strings.Join(names, ", ") + "\t" + use
}

// unquote takes the name of a flag's value out of its description, where it
// stands in backquotes.
func unquote(s string) (value, use string) {
	before, rest, ok := strings.Cut(s, "`")
	if !ok {
		return "", s
	}
	value, after, _ := strings.Cut(rest, "`")
	return value, before + value + after
}

// noArguments refuses what a command would ignore.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return usage("%s takes no argument, and there is %q; see %s %s --help",
			c.Command.Name, c.Args().First(), call(), c.Command.Name)
	}
	return nil
}

// call is how to call this program again: what it prints can be pasted.
func call() string {
	exe := os.Args[0]
	if strings.Contains(exe, "go-build") {
		return "go run ./cmd/pileus"
	}
	return filepath.Base(exe)
}

// examples is a part of a command's help; each line is a command line without
// the program.
func examples(lines ...string) string {
	var b strings.Builder
	b.WriteString("\n\nExamples:\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "\n   %s %s", call(), l)
	}
	return b.String()
}
