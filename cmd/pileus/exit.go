package main

import "pileus/cmd/internal/program"

// Exit codes.
const (
	exitOK       = 0
	exitFailure  = 1 // refused, not found, misconfigured
	exitNoAnswer = 2 // peer: the server stayed silent
	exitUsage    = program.ExitUsage
)

func usage(format string, args ...any) error { return program.Usage(format, args...) }
