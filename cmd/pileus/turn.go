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
)

// turnService is the TURN server and where it is served. Its sockets of
// stun.ports are the STUN responder's too, which answers Binding requests there.
type turnService struct {
	server *turn.Server
	tls    *tls.Config // nil: no TLS
	fronts crew
	log    *slog.Logger

	mu    sync.Mutex
	ports []*socket
}

// openTURN prepares the server.
func (n *node) openTURN() error {
	cfg := &n.config.TURN
	t := &turnService{log: n.log}
	if c := n.certificates["turn.tls"]; c != nil {
		t.tls = c.Config()
	}
	ports := n.config.AllocationPorts()
	if ports.Len() == 0 {
		ports = cfg.Ports // nobody may have one
	}
	var err error
	t.server, err = turn.New(turn.Config{
		Credentials:  turn.Credentials{Users: cfg.Users, Secrets: cfg.Secrets},
		Alternates:   cfg.Alternates,
		Relays:       n.sockets.addrs(),
		Names:        n.names,
		FirstPort:    ports.First,
		LastPort:     ports.Last,
		AllowPrivate: n.config.Relay.AllowPrivate,
		AllowOnLink:  n.config.Relay.AllowOnLink,
		MaxFiles:     n.sockets.files.turn,
		Wall:         n.wall,
		Flawed:       newNameFlaws(n.log).tell,
		Limits:       n.limits,
		Tenant:       introducer.DefaultTenant, // clients of TURN name none
		Binding:      n.answerBinding,

		AnswersPerPrefix: noneBelow(int(n.config.Limits.AnswersPerPrefix)),
	})
	n.turn = t
	return err
}

// add serves clients at one more socket or listener.
func (t *turnService) add(p *socket) {
	t.mu.Lock()
	t.ports = append(t.ports, p)
	t.mu.Unlock()
	t.fronts.add(func() {
		var err error
		switch {
		case p.packets != nil:
			err = t.server.ServePacket(p.packets)
		case p.Use == configs.UseTURNTLS:
			err = t.server.ServeStream(p.stream, t.tls)
		default:
			err = t.server.ServeStream(p.stream, nil)
		}
		if !errors.Is(err, net.ErrClosed) {
			t.log.Error("a TURN socket failed; the node goes on without it", "at", p.addr(), "error", err)
		}
	})
}

// remove ends what add has begun. Allocations of clients there end, too.
func (t *turnService) remove(p *socket) {
	t.mu.Lock()
	t.ports = slices.DeleteFunc(t.ports, func(have *socket) bool { return have == p })
	t.mu.Unlock()
	p.close()
}

// serve serves until ctx ends. What fails is left out.
func (t *turnService) serve(ctx context.Context) {
	t.fronts.start()
	<-ctx.Done()
	t.server.Close()
	for _, p := range t.list() {
		p.close()
	}
	t.fronts.end()
}

func (t *turnService) list() []*socket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.ports)
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

// relaysTURN reports whether somebody may have a relay address.
func relaysTURN(cfg *configs.TURN) bool { return len(cfg.Users)+len(cfg.Secrets) > 0 }

// transports are where clients reach TURN, for each transport.
func (t *turnService) transports() (list []string) {
	at := map[string][]netip.AddrPort{}
	for _, p := range t.list() {
		at[p.transport()] = append(at[p.transport()], p.addr())
	}
	for _, transport := range []string{"udp", "tcp", "tls"} {
		for _, p := range portRanges(at[transport], "-") {
			list = append(list, p+"/"+transport)
		}
	}
	return list
}

func (p *socket) transport() string {
	switch p.Use {
	case configs.UseTURNStream:
		return "tcp"
	case configs.UseTURNTLS:
		return "tls"
	default:
		return "udp"
	}
}

func (b *banner) turnRow() string {
	ports := b.turn.transports()
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
	streams := slices.DeleteFunc(b.turn.list(), func(p *socket) bool { return p.stream == nil })
	open := slices.DeleteFunc(addrsOf(streams), func(a netip.AddrPort) bool { return a.Addr().IsLoopback() })
	if (b.relays == configs.PortRange{}) || len(open) == 0 {
		return nil
	}
	return []string{
		fmt.Sprintf("nft add rule inet filter input tcp dport '{ %s }' accept", strings.Join(portRanges(open, "-"), ", ")),
		fmt.Sprintf("nft add rule inet filter input udp dport %v accept", b.relays),
	}
}
