package rtmfp

import (
	"fmt"
	"net"
)

// Why a session ended, as its handler learns it.
var (
	ErrClosed     = fmt.Errorf("rtmfp: session closed by this end: %w", net.ErrClosed)
	ErrFarClosed  = fmt.Errorf("rtmfp: session closed by the far end: %w", net.ErrClosed)
	ErrNoAnswer   = fmt.Errorf("rtmfp: no answer: %w", timeoutError{})
	ErrDead       = fmt.Errorf("rtmfp: far end stopped answering: %w", timeoutError{})
	ErrOverridden = fmt.Errorf("rtmfp: replaced by a newer session from the same endpoint: %w", net.ErrClosed)
	ErrUnused     = fmt.Errorf("rtmfp: session never used: %w", timeoutError{})
	ErrMemory     = fmt.Errorf("rtmfp: session closed for the memory it held: %w", net.ErrClosed)
	ErrRefused    = fmt.Errorf("rtmfp: session refused by this end: %w", net.ErrClosed)
)

// timeoutError makes the time-outs above net.Errors.
type timeoutError struct{}

func (timeoutError) Error() string   { return "timed out" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return false }

// DuplicateError ends an opening session whose RHello came from an endpoint that
// a session exists with already (RFC 7016 3.5.1.1.1); use that one.
type DuplicateError struct{ Session *Session }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("rtmfp: a session with %s exists already", e.Session.PeerID())
}
