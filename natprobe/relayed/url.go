// Package relayed measures what a TURN server (RFC 8656) does for this host:
// whether it grants a relay over UDP, TCP and TLS, and how packets get through.
package relayed

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Server is a TURN server and who asks.
type Server struct {
	Host      string // and port
	Transport string // "udp", "tcp" or "tls"
	User      string
	Password  string
}

// String names the server without its secrets.
func (s Server) String() string { return s.Host }

// Name is how a report calls it.
func (s Server) Name() string { return "TURN over " + strings.ToUpper(s.Transport) }

// Expired tells when the name ceased to hold, if it is one that expires (EXPIRY:USER, of
// the TURN REST API) and did before now.
func (s Server) Expired(now time.Time) (at time.Time, ok bool) {
	expiry, _, _ := strings.Cut(s.User, ":")
	seconds, err := strconv.ParseInt(expiry, 10, 64)
	at = time.Unix(seconds, 0)
	return at, err == nil && isExpiry(expiry) && at.Before(now)
}

// isExpiry reports whether a part of a name is a time, in seconds since 1970: as many
// digits as those of our days have.
func isExpiry(s string) bool {
	return len(s) >= 9 && len(s) <= 12 && strings.Trim(s, "0123456789") == ""
}

var errURL = errors.New("a TURN server is named turn:USER:PASSWORD@HOST[:PORT][?transport=tcp], or turns: for TLS; a colon in USER is %3A, but for that of EXPIRY:USER, and a percent sign %25")

// Parse reads a URI as RFC 7065 has it, with user and password before the host, as people
// have them: a password in base64 needs no escapes, and EXPIRY:USER none for its colon.
func Parse(s string) (Server, error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(s), ":")
	scheme = strings.ToLower(scheme)
	if scheme != "turn" && scheme != "turns" {
		return Server{}, errURL
	}
	rest = strings.TrimPrefix(rest, "//")
	server := Server{Transport: "udp"}
	// Passwords have anything in them: what is behind the last @ is the host.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		server.User, server.Password = credentials(rest[:at])
		rest = rest[at+1:]
	}
	host, query, _ := strings.Cut(rest, "?")
	if transport, ok := strings.CutPrefix(strings.ToLower(query), "transport="); ok {
		server.Transport = transport
	} else if query != "" {
		return Server{}, errURL
	}
	port := "3478"
	if scheme == "turns" {
		if server.Transport = "tls"; strings.EqualFold(query, "transport=udp") {
			return Server{}, fmt.Errorf("DTLS is not spoken here: %w", errURL)
		}
		port = "5349"
	}
	if server.Transport != "udp" && server.Transport != "tcp" && server.Transport != "tls" {
		return Server{}, errURL
	}
	u, err := url.Parse("turn://" + host)
	if err != nil || u.Hostname() == "" || u.Path != "" || u.User != nil {
		return Server{}, errURL
	}
	port = cmp.Or(u.Port(), port)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Server{}, errURL
	}
	server.Host = net.JoinHostPort(u.Hostname(), port)
	return server, nil
}

// credentials are a user and a password with a colon between them. One in a name that
// expires belongs to the name.
func credentials(s string) (user, password string) {
	user, password, _ = strings.Cut(s, ":")
	if last := strings.LastIndexByte(s, ':'); isExpiry(user) && last > len(user) {
		user, password = s[:last], s[last+1:]
	}
	return unescaped(user), unescaped(password)
}

// unescaped is a text with its %XX replaced; one in which they make no sense is meant as
// it is.
func unescaped(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
