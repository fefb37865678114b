package pairing

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"pileus/rtmfp/udp"
)

// A Failure is why a hook brought nothing. The list is closed: metrics name it.
type Failure uint8

const (
	Timeout     Failure = iota // nothing, or not all, within Config.Timeout
	Unreachable                // no connection: no such name, closed, no way
	TLS                        // no TLS, or a certificate that is not good
	Closed                     // the connection ended, or what came is no HTTP
	Redirected                 // to somewhere else, or too often
	Status                     // a status that is no verdict
	TooLong                    // an answer above 64 KiB
	NoVerdict                  // a good status, and no allow in the body
	Down                       // not sent: the core did not answer the latest
	Busy                       // not sent: too many questions wait
	Oversized                  // not sent: the hook itself is above 64 KiB
	Stopped                    // the node ends
	NumFailures
)

func (f Failure) String() string {
	return [...]string{
		"timeout", "unreachable", "tls", "closed", "redirected", "status", "too-long", "no-verdict", "down", "busy", "oversized", "stopped",
	}[f]
}

// failed is a Failure with the words for it.
type failed struct {
	why  Failure
	text string
}

// silent reports whether f is a core that is not there, or asks for less: who waits for
// it waits in vain. One that answers at once, and be it nonsense, is not, else a client
// whose question a core trips over could have others not asked for.
func (f *failed) silent(status int) bool {
	switch f.why {
	case Timeout, Unreachable, TLS, Closed:
		return true
	case Status:
		return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
	default:
		return false
	}
}

// failureOf finds the kind of an error of net/http.
func failureOf(err error) *failed {
	var (
		timeout interface{ Timeout() bool }
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		dns     *net.DNSError
		op      *net.OpError
		text    = err.Error()
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &failed{Timeout, "no answer within hooks.timeout"}
	case errors.As(err, &dns):
		return &failed{Unreachable, text}
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return &failed{TLS, "what answers speaks HTTP without TLS, and hooks.url says https"}
	case errors.As(err, &verify), errors.As(err, &record), strings.Contains(text, "tls: "):
		return &failed{TLS, text}
	case errors.As(err, &op) && op.Op == "dial":
		return &failed{Unreachable, text}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &failed{Timeout, text}
	case strings.Contains(text, "response headers exceeded"):
		return &failed{TooLong, text}
	default:
		return &failed{Closed, text}
	}
}

// show is the beginning of an answer's body, for a log.
func show(body []byte) string {
	const most = 80 // bytes
	switch {
	case len(body) == 0:
		return "an empty body"
	case len(body) > most:
		return fmt.Sprintf("a body that begins with %q", body[:most])
	}
	return fmt.Sprintf("the body %q", body)
}

// Lines of one kind above this rate are counted instead: clients cause them.
const (
	lineRate  = 0.1 // a second
	lineBurst = 5
	maxDetail = 300 // bytes of what the core or the network says
)

// A journal writes why hooks failed.
type journal struct {
	log        *slog.Logger
	buckets    [NumFailures + 1]udp.Bucket // the last: redirects that were followed
	suppressed [NumFailures + 1]uint64
}

// line writes at most lineRate a second of one kind.
func (j *journal) line(now time.Time, kind Failure, text string, args ...any) {
	if !j.buckets[kind].Take(now, lineRate, lineBurst) {
		j.suppressed[kind]++
		return
	}
	if n := j.suppressed[kind]; n > 0 {
		j.suppressed[kind] = 0
		args = append(args, "suppressed_before", n)
	}
	j.log.Warn(text, args...)
}

func detail(text string) string { return cutText(text, maxDetail) }
