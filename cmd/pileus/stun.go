package main

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pileus/natprobe/binding"
	"pileus/rtmfp"
	"pileus/rtmfp/udp"
)

// stunResponder answers STUN Binding requests at every socket of the node:
// behaviour discovery (RFC 5780) at stun.ports, elsewhere the observed address
// alone. It has no socket, and may be called from any goroutine.
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

// received is a datagram of a socket that carries TOS bytes, where the system does.
func received(local, from netip.AddrPort, tos uint8, data []byte) binding.Received {
	return binding.Received{Data: data, From: from, Local: local, TOS: tos, HasTOS: udp.CarriesTOS}
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
	if a, ok := r.answer(e.Now(), received(d.Local, d.Peer, d.TOS, d.Data)); ok {
		e.Send(rtmfp.Datagram{Local: a.From, Peer: a.To, TOS: a.TOS, Data: a.Data})
	}
	return true
}

const (
	stunBatch    = 16   // datagrams read at a time
	stunDatagram = 2048 // bytes: requests with the largest PADDING, and fragmented ones
)

// stunService drives a responder over the sockets of stun.ports, but for those
// that TURN reads.
type stunService struct {
	responder *stunResponder
	conns     []*sharedConn

	mu sync.Mutex // of WriteBatch
}

// sharedConn is a socket to which several write: CHANGE-REQUEST is answered from
// another's socket, and TURN has many writers.
type sharedConn struct {
	*udp.Conn
	turn bool // TURN reads it
}

// newSTUNService takes the sockets of stun.ports and turn.listen.
func newSTUNService(s *sockets, names udp.Names) *stunService {
	service := &stunService{responder: newSTUNResponder(s, names)}
	for _, c := range slices.Concat(s.open[forSTUN], s.open[forTURN]) {
		service.conns = append(service.conns, &sharedConn{Conn: c})
	}
	return service
}

// serve answers until ctx ends, or a socket fails.
func (s *stunService) serve(ctx context.Context) error {
	failed := make(chan error, len(s.conns))
	var readers sync.WaitGroup
	for _, c := range s.conns {
		if !c.turn {
			readers.Go(func() { failed <- s.read(c) })
		}
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	for _, c := range s.conns {
		_ = c.Close()
	}
	readers.Wait()
	return err
}

func (s *stunService) read(c *sharedConn) error {
	batch := make([]udp.Datagram, stunBatch)
	for i := range batch {
		batch[i].Data = make([]byte, stunDatagram)
	}
	for {
		n, err := c.ReadBatch(batch)
		if err != nil {
			return err
		}
		now := time.Now()
		for _, d := range batch[:n] {
			request := received(c.LocalAddr(), d.Peer, d.TOS, d.Data)
			request.CanBeWhole = true
			if a, ok := s.responder.answer(now, request); ok {
				s.send(a)
			}
		}
	}
}

func (s *stunService) send(a binding.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.LocalAddr() == a.From {
			d := udp.Datagram{Peer: a.To, TOS: a.TOS, Data: a.Data}
			if a.Whole { // nobody but this service writes to sockets that it reads
				_ = c.WriteWhole(d)
			} else {
				_, _ = c.WriteBatch([]udp.Datagram{d}) // closed: read says so
			}
			return
		}
	}
}
