package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"pileus/configs"
	"pileus/introducer"
	"pileus/natprobe/binding"
	"pileus/relay/turn"
	"pileus/rtmfp/udp"
)

// turnService is the TURN server and where it is served. Its sockets of
// stun.ports are the STUN responder's too, which answers Binding requests there.
type turnService struct {
	server  *turn.Server
	packets []*udp.Conn
	plain   []net.Listener
	secure  []net.Listener
	tls     *tls.Config // nil: no TLS
}

// openTURN binds what turn names and prepares the server.
func (n *node) openTURN() (err error) {
	cfg := &n.config.TURN
	t := &turnService{}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if n.turnCertificate != nil {
		t.tls = n.turnCertificate.Config()
		if t.secure, err = n.listenTCP("turn.tls.listen", cfg.TLS.Listen); err != nil {
			return err
		}
	}
	if t.plain, err = n.listenTCP("turn.listen", cfg.Listen); err != nil {
		return err
	}
	t.packets = n.stun.leave(func(c *udp.Conn) bool {
		return n.sockets.bound[c.LocalAddr()] == forTURN || slices.Contains(n.sockets.places(cfg.Listen), c.LocalAddr())
	})
	own, err := ownAddrs()
	if err != nil {
		return err
	}
	t.server, err = turn.New(turn.Config{
		Credentials:  turn.Credentials{Users: cfg.Users, Secrets: cfg.Secrets},
		Alternates:   cfg.Alternates,
		Relays:       n.sockets.addrs(),
		Own:          own,
		Names:        n.names,
		FirstPort:    cfg.Ports.First,
		LastPort:     cfg.Ports.Last,
		AllowPrivate: n.config.Relay.AllowPrivate,
		Limits:       n.limits,
		Tenant:       introducer.DefaultTenant, // clients of TURN name none
		Binding:      n.answerBinding,
	})
	n.turn = t
	return err
}

// ownAddrs are the addresses of this machine's interfaces.
func ownAddrs() ([]netip.Addr, error) {
	all, err := udp.Expand(netip.AddrPort{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the addresses of this machine: %w", err)
	}
	own := make([]netip.Addr, len(all))
	for i, a := range all {
		own[i] = a.Addr()
	}
	return own, nil
}

// listenTCP listens where a key says. A default port that cannot be had is left
// out.
func (n *node) listenTCP(key string, listen []configs.Listen) (list []net.Listener, err error) {
	_, named := n.config.Origin(key)
	for _, at := range n.sockets.places(listen) {
		l, err := net.Listen("tcp", at.String())
		switch {
		case err == nil:
			list = append(list, l)
		case named && !gone(err):
			for _, l := range list {
				_ = l.Close()
			}
			return nil, fmt.Errorf("%s: %w", key, cannotListen(at, "tcp", "name another port", err))
		default:
			n.log.Warn("port left out", "key", key, "error", cannotListen(at, "tcp", "", err))
		}
	}
	return list, nil
}

// answerBinding answers a Binding request that came to TURN.
func (n *node) answerBinding(t turn.Transport, local, from netip.AddrPort, request []byte) []byte {
	if t != turn.UDP {
		// Behaviour discovery is about UDP. Here the address has proved itself, and nothing is rationed.
		a, _ := binding.Server{}.Respond(request, from, local)
		return a.Data
	}
	a, ok := n.stun.responder.answer(time.Now(), binding.Received{Data: request, From: from, Local: local, Alone: true})
	if !ok {
		return nil
	}
	if a.From == local && a.To == from && a.TOS == 0 {
		return a.Data
	}
	n.stun.sockets.Send(a)
	return nil
}

// serve serves until ctx ends. What fails is left out.
func (t *turnService) serve(ctx context.Context, log *slog.Logger) {
	var serving sync.WaitGroup
	run := func(at net.Addr, f func() error) {
		serving.Go(func() {
			if err := f(); !errors.Is(err, net.ErrClosed) {
				log.Error("a TURN socket failed; the node goes on without it", "at", at, "error", err)
			}
		})
	}
	for _, c := range t.packets {
		run(net.UDPAddrFromAddrPort(c.LocalAddr()), func() error { return t.server.ServePacket(c) })
	}
	for _, l := range t.plain {
		run(l.Addr(), func() error { return t.server.ServeStream(l, nil) })
	}
	for _, l := range t.secure {
		run(l.Addr(), func() error { return t.server.ServeStream(l, t.tls) })
	}
	<-ctx.Done()
	t.server.Close()
	t.close()
	serving.Wait()
}

func (t *turnService) close() {
	for _, l := range slices.Concat(t.plain, t.secure) {
		_ = l.Close()
	}
}

// relaysTURN reports whether somebody may have a relay address.
func relaysTURN(cfg *configs.TURN) bool { return len(cfg.Users)+len(cfg.Secrets) > 0 }

// ports are where clients reach TURN, for each transport.
func (t *turnService) ports() (list []string) {
	packets := make([]netip.AddrPort, len(t.packets))
	for i, c := range t.packets {
		packets[i] = c.LocalAddr()
	}
	for _, p := range portRanges(packets, "-") {
		list = append(list, p+"/udp")
	}
	for _, p := range portRanges(addrsOf(t.plain), "-") {
		list = append(list, p+"/tcp")
	}
	for _, p := range portRanges(addrsOf(t.secure), "-") {
		list = append(list, p+"/tls")
	}
	return list
}

func addrsOf(listeners []net.Listener) []netip.AddrPort {
	list := make([]netip.AddrPort, len(listeners))
	for i, l := range listeners {
		list[i] = l.Addr().(*net.TCPAddr).AddrPort()
	}
	return list
}

func (b *banner) turnRow() string {
	ports := b.turn.ports()
	switch {
	case len(ports) == 0:
		return "none"
	case b.relays == configs.PortRange{}:
		return strings.Join(ports, ", ") + " for Binding alone; turn.users or turn.secrets say who may have a relay"
	default:
		return fmt.Sprintf("%s, relay ports %v/udp", strings.Join(ports, ", "), b.relays)
	}
}

// turnFirewall gives the lines for TURN that firewall does not.
func (b *banner) turnFirewall() []string {
	open := slices.DeleteFunc(slices.Concat(addrsOf(b.turn.plain), addrsOf(b.turn.secure)),
		func(a netip.AddrPort) bool { return a.Addr().IsLoopback() })
	if (b.relays == configs.PortRange{}) || len(open) == 0 {
		return nil
	}
	return []string{
		fmt.Sprintf("nft add rule inet filter input tcp dport '{ %s }' accept", strings.Join(portRanges(open, "-"), ", ")),
		fmt.Sprintf("nft add rule inet filter input udp dport %v accept", b.relays),
	}
}
