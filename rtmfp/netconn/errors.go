package netconn

import (
	"errors"
	"fmt"
	"net"

	"pileus/rtmfp/amf"
)

// Why a connection or stream is over, or a call refused.
var (
	ErrClosed    = fmt.Errorf("netconn: closed by this end: %w", net.ErrClosed)
	ErrFarClosed = fmt.Errorf("netconn: closed by the far end: %w", net.ErrClosed)

	// ErrRejected ends a stream that the publishing peer did not let us play.
	ErrRejected = errors.New("netconn: the peer refuses the stream")

	// ErrNotConnected is returned for what takes an accepted connect.
	ErrNotConnected = errors.New("netconn: not connected")

	// ErrTooMany is returned for one more than a limit of this package.
	ErrTooMany = errors.New("netconn: too many")

	// ErrUnread ends the session of a client that does not read what it is sent.
	ErrUnread = fmt.Errorf("netconn: client does not read: %w", net.ErrClosed)

	// ErrNoConnect ends a session whose client did not get connected in time.
	ErrNoConnect = errors.New("netconn: no connect in time")
)

// StatusError is an event of level error: the answer to a connect, a call or a
// play that failed.
type StatusError struct {
	Code        string // "NetConnection.Connect.Rejected"
	Description string
	Info        amf.Object // as received
}

func (e *StatusError) Error() string {
	if e.Description == "" {
		return "netconn: " + e.Code
	}
	return "netconn: " + e.Code + ": " + e.Description
}

// statusError makes an error of the information object of an _error.
func statusError(c Command) *StatusError {
	o, _ := c.Given().Object(0)
	e := &StatusError{Code: o.String("code"), Description: o.String("description"), Info: o}
	if e.Code == "" {
		e.Code = StatusCallFailed
	}
	return e
}

// ServerLostError ends a session with a peer because the NetConnection that it
// was opened through is over.
type ServerLostError struct {
	Server string // the URI
	Err    error  // why
}

func (e *ServerLostError) Error() string {
	return fmt.Sprintf("netconn: the NetConnection to %s ended: %v", e.Server, e.Err)
}

func (e *ServerLostError) Unwrap() error { return e.Err }
