//go:build !linux

package bench

import (
	"context"
	"errors"
	"io"
)

// Run fails: the source address of a datagram is chosen, and the server's CPU
// time read, as only Linux does it.
func Run(context.Context, Config) error {
	return errors.New("bench needs Linux")
}

// RunRelay fails: network namespaces are Linux's.
func RunRelay(context.Context, RelayConfig) error {
	return errors.New("bench relay needs Linux")
}

// ServeSplices fails as RunRelay does.
func ServeSplices(context.Context, io.Reader, io.Writer) error {
	return errors.New("bench relay needs Linux")
}
