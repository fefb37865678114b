package main

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

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
	servers map[netip.Addr]binding.Server // by own address

	mu      sync.Mutex
	limiter binding.Limiter
	stats   stunStats
}

// stunStats counts Binding requests, by what came of them.
type stunStats struct{ answered, limited, malformed uint64 }

// newSTUNResponder serves the addresses of s.
func newSTUNResponder(s *sockets, names udp.Names) *stunResponder {
	r := &stunResponder{names: names, servers: make(map[netip.Addr]binding.Server)}
	for _, a := range s.addrs() {
		server := binding.Server{Addrs: []netip.Addr{r.outside(a)}}
		if ports := s.portsOf(forSTUN); len(ports) >= 2 && s.hasSTUN(a) {
			server.Ports = [2]uint16(ports)
			if other := r.other(s, a); other.IsValid() {
				server.Addrs = append(server.Addrs, r.outside(other))
			}
		}
		r.servers[a] = server
	}
	return r
}

// hasSTUN reports whether both ports of RFC 5780 are open on a.
func (s *sockets) hasSTUN(a netip.Addr) bool {
	ports := s.portsOf(forSTUN)
	for _, p := range ports[:2] {
		if s.bound[netip.AddrPortFrom(a, p)] != forSTUN {
			return false
		}
	}
	return true
}

// other is the second address of RFC 5780 for clients of a: an alternate, since
// nobody knows where the machine's further addresses lead; zero if there is none.
func (r *stunResponder) other(s *sockets, a netip.Addr) netip.Addr {
	candidates := s.config.Alternate
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
	server := r.servers[d.Local.Addr()]
	d.Local = r.names.Outside(d.Local)
	a, ok = server.RespondTo(d)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !ok:
		r.stats.malformed++
	case !r.limiter.Allow(a.To.Addr(), len(d.Data), len(a.Data), now):
		r.stats.limited++
		ok = false
	default:
		r.stats.answered++
		a.From = r.names.Bind(a.From)
	}
	return a, ok
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
	read      []*udp.Conn
}

// newSTUNService takes the sockets of stun.ports and turn.listen.
func newSTUNService(s *sockets, names udp.Names) *stunService {
	conns := slices.Concat(s.open[forSTUN], s.open[forTURN])
	return &stunService{responder: newSTUNResponder(s, names), sockets: responder.NewSockets(conns), read: conns}
}

// leave stops reading the sockets of which others is true, and returns them. It must
// not be called while the service serves.
func (s *stunService) leave(others func(*udp.Conn) bool) (left []*udp.Conn) {
	s.read = slices.DeleteFunc(s.read, func(c *udp.Conn) bool {
		if others(c) {
			left = append(left, c)
			return true
		}
		return false
	})
	return left
}

// serve answers until ctx ends, or a socket fails.
func (s *stunService) serve(ctx context.Context) error {
	return s.sockets.Serve(ctx, s.read, s.responder.answer)
}
