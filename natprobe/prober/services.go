package prober

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/report"
)

const (
	servicePatience = 3 * time.Second
	tlsPort         = 5349 // STUN over TLS (RFC 8489 section 18.6)
	webPort         = 443  // what the strictest firewalls let out
)

// Fallbacks tries what is left where UDP is blocked: STUN over TCP at the server's
// port, over TLS, and whether TCP leaves at all towards the port of the web. Certificates are
// not verified: it is the way that is tested, and nothing is believed.
func Fallbacks(ctx context.Context, server netip.AddrPort, local netip.Addr) []report.Service {
	tests := []struct {
		name    string
		port    uint16
		tls     bool
		binding bool
	}{
		{"STUN over TCP", server.Port(), false, true},
		{"STUN over TLS", tlsPort, true, true},
		{"TCP", webPort, false, false},
	}
	all := make([]report.Service, len(tests))
	var work sync.WaitGroup
	for i, t := range tests {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, servicePatience)
			defer cancel()
			at := netip.AddrPortFrom(server.Addr(), t.port)
			s := report.Service{Name: t.name, At: at.String(), Works: natprobe.Yes}
			began := time.Now()
			text, err := stream(ctx, at, local, t.tls, t.binding)
			s.Took, s.Text = time.Since(began), text
			if err != nil {
				s.Works, s.Took, s.Text = natprobe.No, 0, plain(err)
			}
			all[i] = s
		})
	}
	work.Wait()
	return all
}

// plain is an error without the addresses and layers around it.
func plain(err error) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "no answer"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return err.Error()
}

// stream connects and, if asked to, has a Binding request answered.
func stream(ctx context.Context, at netip.AddrPort, local netip.Addr, secure, ask bool) (string, error) {
	var d net.Dialer
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline() // the caller set one
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if secure {
		t := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // see Fallbacks
		if err := t.HandshakeContext(ctx); err != nil {
			return "", err
		}
		conn = t
	}
	if !ask {
		return "connects", nil
	}
	if _, err := conn.Write(binding.Request{Transaction: transaction()}.Append(nil)); err != nil {
		return "", err
	}
	message, err := binding.Read(conn)
	if err != nil {
		return "", err
	}
	answer, err := binding.ParseAnswer(message)
	if err != nil {
		return "", err
	}
	if answer.Code != 0 {
		return binding.DescribeCode(answer.Code), nil
	}
	return "seen as " + answer.Seen.String(), nil
}
