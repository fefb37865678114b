package relayed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/pion/turn/v3"

	"pileus/natprobe"
	"pileus/natprobe/report"
)

// patience is for all addresses of a server, and leastPatience for each at least.
const (
	patience      = 5 * time.Second
	leastPatience = 2 * time.Second
)

// allocation is a relay on a server.
type allocation struct {
	client  *turn.Client
	conn    net.PacketConn // to the server
	relay   net.PacketConn // at the server
	local   netip.Addr
	far     netip.AddrPort // the server
	mapped  netip.AddrPort // of conn, as the server sees it; zero over TCP and TLS
	relayed netip.AddrPort
}

func (a *allocation) close() {
	if a.relay != nil {
		_ = a.relay.Close()
	}
	if a.client != nil {
		a.client.Close()
	}
	_ = a.conn.Close()
}

// Try asks for a relay, and gives it back.
func Try(ctx context.Context, s Server) report.Service { return try(ctx, s, names) }

func try(ctx context.Context, s Server, find lookup) report.Service {
	service := report.Service{Name: s.Name(), At: s.String(), Works: natprobe.Yes}
	began := time.Now()
	a, err := allocate(ctx, s, find)
	if err != nil {
		service.Works, service.Text = natprobe.No, s.reason(err, time.Now())
		return service
	}
	defer a.close()
	service.Took, service.Text = time.Since(began), "relay at "+a.relayed.String()
	return service
}

// refused is the error that a server answers with. The client's has no type, and the
// server's own words in it.
var refused = regexp.MustCompile(`\(error (\d{3})\b`)

// reason is what a TURN server said, in a line of this program's words.
func (s Server) reason(err error, now time.Time) string {
	if silent(err) {
		return report.NoAnswer
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	code := refused.FindStringSubmatch(text)
	if code == nil {
		return text
	}
	at, expired := s.Expired(now)
	meaning := map[string]string{
		"401": "user or password is not the server's", "403": "it gives no relay to anybody, or not to this user",
		"437": "it has a relay for this port already", "438": "its nonce is too old", "441": "another user has a relay there",
		"442": "it has no relay of that transport", "486": "this user has all the relays that he may have",
		"508": "it has no room for more relays", "500": "it has a fault of its own",
	}[code[1]]
	switch {
	case code[1] == "401" && expired:
		meaning = "the name expired at " + at.UTC().Format(time.RFC3339)
	case code[1] == "401" && s.User == "":
		meaning = "it wants a user and a password"
	case meaning == "":
		meaning = "refused"
	}
	return fmt.Sprintf("error %s: %s", code[1], meaning)
}

// unreached reports whether there is no way to the address.
func unreached(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// silent reports whether nothing was said. The client's error for that has no type.
func silent(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout() || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "all retransmissions failed")
}

// allocate asks at the server's addresses in turn, until one says something. Over TCP
// and TLS the dialer does that.
func allocate(ctx context.Context, s Server, find lookup) (*allocation, error) {
	hosts := []string{s.Host}
	if s.Transport == "udp" {
		var err error
		if hosts, err = s.addresses(ctx, find); err != nil {
			return nil, err
		}
	}
	var first error
	for _, host := range hosts {
		a, err := allocateAt(ctx, s, host, max(leastPatience, patience/time.Duration(len(hosts))))
		if err == nil || ctx.Err() != nil || !silent(err) && !unreached(err) {
			return a, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// allocateAt asks at one address.
func allocateAt(ctx context.Context, s Server, host string, patience time.Duration) (_ *allocation, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a := &allocation{}
	if err := a.connect(ctx, s, host); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	network, err := fixedOn(a.far)
	if err != nil {
		return nil, err
	}
	a.client, err = turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: s.Host, TURNServerAddr: s.Host, Conn: a.conn, Username: s.User, Password: s.Password, Net: network,
	})
	if err != nil {
		return nil, err
	}
	// The client has a patience of its own, which a blocked port exhausts.
	stop := context.AfterFunc(ctx, func() {
		a.client.Close()
		_ = a.conn.Close()
	})
	defer stop()
	if err := a.client.Listen(); err != nil {
		return nil, err
	}
	if a.relay, err = a.client.Allocate(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	a.relayed = addrPort(a.relay.LocalAddr())
	if mapped, err := a.client.SendBindingRequest(); err == nil {
		a.mapped = addrPort(mapped)
	}
	return a, nil
}

// connect opens the way to the server.
func (a *allocation) connect(ctx context.Context, s Server, host string) error {
	var d net.Dialer
	network := s.Transport
	if network == "tls" {
		network = "tcp"
	}
	conn, err := d.DialContext(ctx, network, host)
	if err != nil {
		return err
	}
	a.local, a.far = addrPort(conn.LocalAddr()).Addr(), addrPort(conn.RemoteAddr())
	switch s.Transport {
	case "udp": // the client wants a socket that is not connected
		_ = conn.Close()
		var lc net.ListenConfig
		a.conn, err = lc.ListenPacket(ctx, "udp", netip.AddrPortFrom(a.local, 0).String())
		return err
	case "tls":
		host, _, err := net.SplitHostPort(s.Host)
		if err != nil {
			return err
		}
		secure := tls.Client(conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return fmt.Errorf("the certificate or TLS: %w", err)
		}
		conn = secure
	}
	a.conn = turn.NewSTUNConn(conn)
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
