package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// Exit codes. The last is sysexits' EX_USAGE: a mistyped flag must not look
// like an answer of the far end.
const (
	exitOK       = 0
	exitFailure  = 1  // refused, not found, misconfigured
	exitNoAnswer = 2  // peer: the server stayed silent
	exitUsage    = 64 // the command line is wrong
)

// failure is an error that decides the exit code. With err nil everything was
// said already.
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

// report says what went wrong, a line for each error, and gives the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailure
	if f, ok := errors.AsType[*failure](err); ok {
		code = f.code
		if f.err == nil {
			return code
		}
	} else if _, ok := errors.AsType[cli.ExitCoder](err); ok {
		code = exitUsage // the library itself only refuses command lines
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "pileus: %s\n", strings.TrimRight(line, "\n"))
	}
	return code
}
