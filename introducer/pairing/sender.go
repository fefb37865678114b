package pairing

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

const (
	maxAnswer    = 64 << 10         // bytes of a core's answer that are read, unpacked, and of its header
	maxRedirects = 3                // that one hook follows; each costs a round trip
	idleTimeout  = 30 * time.Second // a connection without a hook: before most firewalls and cores forget it
)

// A sender brings hooks to the core: all that is asked and told goes this way.
type sender struct {
	kept  http.RoundTripper // keeps connections for the next hooks
	fresh http.RoundTripper // a connection for each
}

// newSender judges certificates by the time that wall tells.
func newSender(wall func() time.Time) *sender {
	kept := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one by its documentation
	kept.MaxIdleConnsPerHost = maxAsking + 1
	kept.IdleConnTimeout = idleTimeout
	kept.MaxResponseHeaderBytes = maxAnswer
	kept.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, Time: wall}
	fresh := kept.Clone()
	fresh.DisableKeepAlives = true
	return &sender{kept: kept, fresh: fresh}
}

// A message is one hook, which may take several tries.
type message struct {
	id   string
	body []byte
}

// An answer is what a core said.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	from, to string // it redirected there, and that was followed; else empty
}

// send brings m to the core. What fails on a connection that was kept from an earlier
// hook says nothing of the core, which may end it whenever it likes (RFC 9112 9.5), and
// net/http repeats a POST on few of these occasions; so it is sent once more, by a new
// one. A core knows it by its ID, if the first got through.
func (s *sender) send(ctx context.Context, cfg *Config, m message) (answer, *failed) {
	a, reused, err := s.follow(ctx, s.kept, cfg, m)
	if err != nil && reused {
		// The others have the same far end. After a timeout no client waits once more.
		s.closeIdle()
		if err.why != Timeout && ctx.Err() == nil {
			a, _, err = s.follow(ctx, s.fresh, cfg, m)
		}
	}
	if err != nil && ctx.Err() != nil {
		err.why = Stopped
	}
	return a, err
}

func (s *sender) closeIdle() {
	for _, t := range []http.RoundTripper{s.kept, s.fresh} {
		if t, ok := t.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// follow is one try, with the redirects that lead to the same core: as a POST, which
// RFC 9110 15.4 wants of 307 and 308, and leaves to the client for 301 and 302.
func (s *sender) follow(ctx context.Context, by http.RoundTripper, cfg *Config, m message) (answer, bool, *failed) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	at, err := url.Parse(cfg.URL)
	if err != nil {
		return answer{}, false, &failed{Unreachable, err.Error()}
	}
	var to string
	for hops := 0; ; hops++ {
		a, reused, err := once(ctx, by, cfg, at.String(), m)
		if err != nil {
			return a, reused, failureOf(err)
		}
		if a.status/100 != 3 {
			if a.to = to; to != "" {
				a.from = cfg.URL
			}
			return a, reused, nil
		}
		next, err := at.Parse(a.header.Get("Location"))
		switch {
		case err != nil || a.header.Get("Location") == "":
			return a, false, &failed{Redirected, fmt.Sprintf("status %d without a place", a.status)}
		case a.status != http.StatusMovedPermanently && a.status != http.StatusFound &&
			a.status != http.StatusTemporaryRedirect && a.status != http.StatusPermanentRedirect:
			return a, false, &failed{Redirected, fmt.Sprintf("status %d, which is for a GET, to %s", a.status, next.Redacted())}
		case !sameCore(at, next):
			// It would carry the body to somebody else.
			return a, false, &failed{Redirected, fmt.Sprintf("status %d to %s, which is not followed to another server; if that is the core, name it in hooks.url", a.status, next.Redacted())}
		case hops == maxRedirects:
			return a, false, &failed{Redirected, fmt.Sprintf("more than %d, the last one to %s", maxRedirects, next.Redacted())}
		}
		at, to = next, next.Redacted()
	}
}

// sameCore reports whether a redirect stays at the server that hooks.url names: the same
// scheme, name and port, or TLS instead of none at the usual ports of one name.
func sameCore(from, to *url.URL) bool {
	if to.User != nil || !strings.EqualFold(from.Hostname(), to.Hostname()) {
		return false
	}
	if from.Scheme == to.Scheme {
		return port(from) == port(to)
	}
	return from.Scheme == "http" && port(from) == "80" && to.Scheme == "https" && port(to) == "443"
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// once sends one request and reads its answer. reused: by a connection that was kept.
func once(ctx context.Context, by http.RoundTripper, cfg *Config, to string, m message) (a answer, reused bool, err error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused },
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(m.body))
	if err != nil {
		return a, false, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "pileus")
	// Servers and proxies on the way may take a repeated POST for the same one by this.
	r.Header.Set("Idempotency-Key", m.id)
	sign(r.Header, cfg.Secret, cfg.Wall(), m.id, m.body)
	resp, err := by.RoundTrip(r)
	if err != nil {
		return a, reused, err
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	return a, reused, err
}
