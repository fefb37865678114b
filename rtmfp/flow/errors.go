package flow

import (
	"errors"
	"fmt"
	"net"
)

var (
	// ErrClosed is returned by calls on a flow or Mux that has ended. It unwraps to
	// net.ErrClosed.
	ErrClosed = fmt.Errorf("flow: %w", net.ErrClosed)

	// ErrFull is returned by Write when the flow's queue has no room for the
	// message. SendEvents.Writable tells when half of it is free again.
	ErrFull = errors.New("flow: send queue is full")

	// ErrMemory is returned by Write when all sessions together hold so much that no
	// message may be added.
	ErrMemory = errors.New("flow: no memory for the message")

	// ErrTooLarge is what a TooLargeError is.
	ErrTooLarge = errors.New("flow: message too large")

	// ErrTooManyFlows is returned by Open when the session has its fill of flows.
	ErrTooManyFlows = errors.New("flow: too many flows in this session")

	// ErrMetadata is returned by Open for metadata over MaxMetadata bytes.
	ErrMetadata = fmt.Errorf("flow: metadata over %d bytes", MaxMetadata)

	// ErrFarMessage ends a receiving flow whose message grew over Config.MaxMessage.
	ErrFarMessage = errors.New("flow: far end's message too large")

	// ErrFarOption ends a receiving flow on an option that must be understood and is
	// not (section 2.3.11.1).
	ErrFarOption = errors.New("flow: far end sent an unknown option")
)

// TooLargeError refuses a message over Config.MaxMessage. It is ErrTooLarge.
type TooLargeError struct {
	Size, Limit int // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("flow: message of %d bytes exceeds the limit of %d", e.Size, e.Limit)
}

func (e *TooLargeError) Unwrap() error { return ErrTooLarge }

// Exception is a flow's rejection by its receiver (section 2.3.16). Host.Incoming
// returns one to reject with a code; SendEvents.Closed gets one when the far end
// rejected.
//
//nolint:errname // the RFC's word, and what the application calls it
type Exception struct {
	Code uint64 // the application's; 0 when RTMFP itself rejects
}

func (e *Exception) Error() string { return fmt.Sprintf("flow: rejected with exception %d", e.Code) }
