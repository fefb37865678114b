package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// defaultPort is that of URIs which name none (RFC 7425 5.1).
const defaultPort = 1935

// Server is what a URI says about where a server is.
type Server struct {
	URI  string
	Host string // without brackets
	Port uint16
}

// ParseServer reads rtmfp://host[:port]/app. The app may be empty.
func ParseServer(uri string) (Server, error) {
	bad := func(hint string) (Server, error) {
		return Server{}, fmt.Errorf("%q is not of the form rtmfp://host[:port]/app%s", uri, hint)
	}
	if !strings.Contains(uri, "://") && uri != "" {
		return bad("; did you mean rtmfp://" + uri + "?")
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "rtmfp" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return bad("")
	}
	s := Server{URI: uri, Host: u.Hostname(), Port: defaultPort}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return bad(": " + p + " is no port")
		}
		s.Port = uint16(n)
	}
	return s, nil
}

// String gives host and port, as for net.Dial.
func (s Server) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))) }

// resolve finds the server's addresses, of both families.
func (s Server) resolve(ctx context.Context) ([]netip.AddrPort, error) {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", s.Host)
	if err != nil {
		var d *net.DNSError
		switch {
		case ctx.Err() != nil:
			return nil, errInterrupted
		case errors.As(err, &d) && d.IsNotFound:
			return nil, fmt.Errorf("there is no host %s", s.Host)
		case errors.As(err, &d):
			return nil, fmt.Errorf("cannot find the host %s: %s", s.Host, d.Err)
		}
		return nil, fmt.Errorf("cannot find the host %s: %w", s.Host, err)
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), s.Port)
	}
	return addrs, nil
}
