package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pileus/configs"
	"pileus/natprobe/binding"
	"pileus/natprobe/responder"
	"pileus/rtmfp"
	"pileus/rtmfp/udp"
)

// stunResponder answers STUN Binding requests at every socket of the node:
// behaviour discovery (RFC 5780) at stun.ports, elsewhere the observed address
// alone; clients of RFC 3489 where nothing but STUN and TURN is spoken. It has no socket, and may be called from any goroutine.
type stunResponder struct {
	names   udp.Names
	trusts  func(outside netip.Addr) bool                 // an alternate that nobody named; nil: none
	servers atomic.Pointer[map[netip.Addr]binding.Server] // by own address

	mu      sync.Mutex
	limiter *udp.Limiter
	stats   stunStats
}

// stunStats counts Binding requests, by what came of them.
type stunStats struct{ answered, limited, malformed uint64 }

// follow has it serve the addresses that s has now.
func (r *stunResponder) follow(s *sockets) {
	servers := make(map[netip.Addr]binding.Server)
	for _, a := range s.addrs() {
		server := binding.Server{Addrs: []netip.Addr{r.outside(a)}}
		if ports := s.config.STUN.Ports; len(ports) >= 2 && s.hasSTUN(a) {
			server.Ports = [2]uint16{uint16(ports[0]), uint16(ports[1])}
			if other := r.other(s, a); other.IsValid() {
				server.Addrs = append(server.Addrs, r.outside(other))
			}
		}
		servers[a] = server
	}
	r.servers.Store(&servers)
}

// hasSTUN reports whether both ports of RFC 5780 are open on a.
func (s *sockets) hasSTUN(a netip.Addr) bool {
	open := s.at(configs.UseSTUN)
	for _, p := range s.config.STUN.Ports[:2] {
		if !slices.Contains(open, netip.AddrPortFrom(a, uint16(p))) {
			return false
		}
	}
	return true
}

// other is the second address of RFC 5780 for clients of a: an alternate, since
// nobody knows where the machine's further addresses lead; zero if there is none.
func (r *stunResponder) other(s *sockets, a netip.Addr) netip.Addr {
	candidates := s.alternates()
	for _, b := range s.candidates(r.names) {
		if r.trusts != nil && r.trusts(r.outside(b)) {
			candidates = append(candidates, b)
		}
	}
	if slices.Contains(candidates, a) {
		candidates = s.addrs()
	}
	for _, b := range candidates {
		if a != b && a.Is4() == b.Is4() && udp.SameReach(r.outside(a), r.outside(b)) && s.hasSTUN(b) {
			return b
		}
	}
	return netip.Addr{}
}

// outside is the name of an own address, for any port.
func (r *stunResponder) outside(a netip.Addr) netip.Addr {
	return r.names.Outside(netip.AddrPortFrom(a, 0)).Addr()
}

// answer gives the answer to what came to the socket at d.Local: what to send,
// whereto, and the own address to send it from. ok is false where there is nothing
// to say.
func (r *stunResponder) answer(now time.Time, d binding.Received) (a binding.Response, ok bool) {
	server := (*r.servers.Load())[d.Local.Addr()]
	d.Local = r.names.Outside(d.Local)
	a, ok = server.RespondTo(d)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !ok:
		r.stats.malformed++
	case !r.limiter.Allow(now, a.To.Addr()):
		r.stats.limited++
		ok = false
	default:
		r.stats.answered++
		a.From = r.names.Bind(a.From)
	}
	return a, ok
}

// ration bounds answers from now on: so many a second to a prefix, whose addresses may be forged.
func (r *stunResponder) ration(answers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limiter = udp.NewLimiter(answers, answers)
}

func (r *stunResponder) counts() stunStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// beside takes STUN out of what arrives for the engine.
func (r *stunResponder) beside(e *rtmfp.Engine, d rtmfp.Datagram) bool {
	if !binding.IsMessage(d.Data) {
		return false
	}
	request := binding.Received{Data: d.Data, From: d.Peer, Local: d.Local, TOS: d.TOS, HasTOS: udp.CarriesTOS}
	if a, ok := r.answer(e.Now(), request); ok {
		e.Send(rtmfp.Datagram{Local: a.From, Peer: a.To, TOS: a.TOS, Data: a.Data})
	}
	return true
}

// stunService answers at the sockets of stun.ports. Those that TURN reads answer too.
type stunService struct {
	responder *stunResponder
	sockets   *responder.Sockets
	readers   crew
	log       *slog.Logger
}

func newSTUNService(s *sockets, names udp.Names, answers int, trusts func(netip.Addr) bool, log *slog.Logger) *stunService {
	r := &stunResponder{names: names, trusts: trusts}
	r.follow(s)
	r.ration(answers)
	return &stunService{responder: r, sockets: responder.NewSockets(nil), log: log}
}

// add takes over a socket of stun.ports or turn.listen, which TURN may read.
func (s *stunService) add(p *socket) {
	s.sockets.Add(p.packets)
	if p.TURN {
		return
	}
	s.readers.add(func() {
		if err := s.sockets.Read(p.packets, s.responder.answer); !errors.Is(err, net.ErrClosed) {
			s.log.Error("a STUN socket failed; the node goes on without it", "at", p.addr(), "error", err)
		}
	})
}

func (s *stunService) remove(p *socket) { s.sockets.Remove(p.packets) }

// serve answers until ctx ends.
func (s *stunService) serve(ctx context.Context) {
	s.readers.start()
	<-ctx.Done()
	s.sockets.Close()
	s.readers.end()
}
