package peer

import (
	"errors"
	"fmt"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/netconn"
)

var errInterrupted = errors.New("interrupted")

// NoAnswerError tells that nothing came back from the server.
type NoAnswerError struct {
	Server Server
	After  time.Duration
	Opened bool // it opened a session and then did not answer the connect
}

func (e *NoAnswerError) Error() string {
	if e.Opened {
		return fmt.Sprintf("%s/udp opened a session, but did not answer the connect in %s: not an RTMFP server for clients", e.Server, spell(e.After))
	}
	return fmt.Sprintf("no answer from %s/udp in %s: UDP blocked, wrong host, or node down", e.Server, spell(e.After))
}

// spell writes a duration as people do: 10 s, 1.5 s, 250 ms.
func spell(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.4g s", d.Seconds())
}

// why puts the end of a session or stream with who into words.
func why(who string, err error) error {
	var status *netconn.StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return fmt.Errorf("%s refused: %s", who, describe(status.Code, status.Description))
	case errors.Is(err, netconn.ErrRejected):
		return fmt.Errorf("%s refuses the stream", who)
	case errors.Is(err, rtmfp.ErrDead):
		return fmt.Errorf("%s stopped answering", who)
	case errors.Is(err, rtmfp.ErrFarClosed), errors.Is(err, netconn.ErrFarClosed):
		return fmt.Errorf("%s closed the connection", who)
	case errors.Is(err, rtmfp.ErrClosed), errors.Is(err, netconn.ErrClosed):
		return fmt.Errorf("closed the connection to %s", who)
	case errors.Is(err, rtmfp.ErrOverridden):
		return fmt.Errorf("%s began a new session", who)
	}
	return fmt.Errorf("%s: %w", who, err)
}

// describe joins what a far end said: its words are quoted, they may be
// anything.
func describe(code, description string) string {
	if description == "" {
		return clean(code)
	}
	return fmt.Sprintf("%s: %s", clean(code), clean(description))
}
