// Package relayed measures what a TURN server (RFC 8656) does for this host:
// whether it grants a relay over UDP, TCP and TLS, and how packets get through.
package relayed

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
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

var errURL = errors.New("a TURN server is named turn:USER:PASSWORD@HOST[:PORT][?transport=tcp], or turns: for TLS")

// Parse reads a URL as RFC 7065 has it, with user and password before the host.
func Parse(s string) (Server, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme != "turn" && scheme != "turns" {
		return Server{}, errURL
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil || u.Hostname() == "" || u.Path != "" {
		return Server{}, errURL // err would repeat the password
	}
	server := Server{Transport: cmp.Or(u.Query().Get("transport"), "udp"), User: u.User.Username()}
	server.Password, _ = u.User.Password()
	port := "3478"
	if scheme == "turns" {
		if server.Transport = "tls"; u.Query().Get("transport") == "udp" {
			return Server{}, fmt.Errorf("DTLS is not spoken here: %w", errURL)
		}
		port = "5349"
	}
	if server.Transport != "udp" && server.Transport != "tcp" && server.Transport != "tls" {
		return Server{}, errURL
	}
	server.Host = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
	return server, nil
}
