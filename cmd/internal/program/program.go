// Package program has the manners that the programs of this module share: exit
// codes that are the answer, and refusals that tell where help is.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// ExitUsage is sysexits' EX_USAGE: a mistyped flag must not look like an answer
// of the far end.
const ExitUsage = 64

// ExitError is an error that decides the exit code. With Err nil everything was said
// already.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Usage refuses a command line.
func Usage(format string, args ...any) error {
	return &ExitError{ExitUsage, fmt.Errorf(format, args...)}
}

// helpFlag is --help of every command. The library keeps one flag for all of them and
// writes to it while it reads a command line: two could not be read at once.
type helpFlag struct{ cli.BoolFlag }

// Apply implements cli.Flag.
func (f *helpFlag) Apply(set *flag.FlagSet) error {
	own := f.BoolFlag
	return own.Apply(set)
}

func init() {
	cli.HelpFlag = &helpFlag{cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help", DisableDefaultText: true}}
}

// Run runs app with args, in which the program's own name is not, and gives the
// exit code. Errors are told on the app's ErrWriter, a line each; those that are no
// ExitError end with the code other. Call is how people call the program.
func Run(ctx context.Context, app *cli.App, call string, other int, args []string) int {
	app.HideVersion = true
	app.HideHelpCommand = true
	app.DisableSliceFlagSeparator = true
	app.OnUsageError = refuse(call)
	app.Action = noCommand
	// The library would end the process.
	app.ExitErrHandler = func(*cli.Context, error) {}
	for _, c := range app.Commands {
		teach(c, call)
	}
	// The library's own help command knows one level only.
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	err := app.RunContext(ctx, append([]string{app.Name}, args...))
	return Report(app.ErrWriter, app.Name, err, other)
}

// teach gives c and what is below it the manners of the program.
func teach(c *cli.Command, above string) {
	call := above + " " + c.Name
	c.OnUsageError = refuse(call)
	c.HideHelpCommand = true
	for _, sub := range c.Subcommands {
		teach(sub, call)
	}
	if c.Subcommands != nil && c.Action == nil {
		c.Action = noCommand
	}
}

// noCommand is what happens when the command line names none that exists.
func noCommand(c *cli.Context) error {
	if !c.Args().Present() {
		c.App.Writer = c.App.ErrWriter // nobody asked for help: it is no data
		if c.Command.Name == c.App.Name {
			_ = cli.ShowAppHelp(c)
		} else {
			_ = cli.ShowSubcommandHelp(c)
		}
		return &ExitError{Code: ExitUsage}
	}
	var names []string
	for _, cmd := range c.Command.Subcommands {
		if !cmd.Hidden {
			names = append(names, cmd.Name)
		}
	}
	return Usage("there is no command %q; there are %s", c.Args().First(), strings.Join(names, ", "))
}

func refuse(call string) cli.OnUsageErrorFunc {
	return func(_ *cli.Context, err error, _ bool) error {
		if flag, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
			return Usage("there is no flag --%s; see %s --help", flag, call)
		}
		return Usage("%w; see %s --help", err, call)
	}
}

// Report says what went wrong, a line for each error, and gives the exit code.
func Report(w io.Writer, name string, err error, other int) int {
	if err == nil {
		return 0
	}
	code := other
	if e, ok := errors.AsType[*ExitError](err); ok {
		code = e.Code
		if e.Err == nil {
			return code
		}
	} else if _, ok := errors.AsType[cli.ExitCoder](err); ok {
		code = ExitUsage // the library itself only refuses command lines
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "%s: %s\n", name, strings.TrimRight(line, "\n"))
	}
	return code
}
