// Command pileus runs a node that introduces RTMFP peers to each other, and the
// tools around it. Each command is a file of its own.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
