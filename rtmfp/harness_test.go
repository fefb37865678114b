package rtmfp_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/wire"
)

// party is an endpoint on a network in memory, and what its sessions told.
type party struct {
	t    *testing.T
	ep   *rtmfp.Endpoint
	addr netip.AddrPort
	id   *flash.Identity

	mu       sync.Mutex
	hello    func(*rtmfp.Engine, rtmfp.Hello)
	onOpen   func(*rtmfp.Session)
	sessions []*rtmfp.Session // in the order of opening
	messages []string
	ended    []error // of flows
	closed   []error // of sessions
	moved    int
}

func serverIdentity(t *testing.T) *flash.Identity {
	return identity(t, flash.IdentityOptions{
		AcceptAncillary: true, Ephemeral: []flash.Group{flash.Group2, flash.Group5, flash.Group14},
	})
}

func clientIdentity(t *testing.T) *flash.Identity {
	return identity(t, flash.IdentityOptions{Static: []flash.Group{flash.Group2}})
}

func identity(t *testing.T, o flash.IdentityOptions) *flash.Identity {
	t.Helper()
	id, err := flash.NewIdentity(o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newParty binds and serves; stop it before the bubble ends.
func newParty(t *testing.T, n *memnet.Network, addr string, id *flash.Identity, edit func(*rtmfp.Config)) *party {
	t.Helper()
	p := &party{t: t, addr: netip.MustParseAddrPort(addr), id: id}
	c := rtmfp.Config{Identity: id, Handler: p, KeyPool: -1}
	if edit != nil {
		edit(&c)
	}
	ep, err := rtmfp.NewEndpoint(c, []rtmfp.Socket{n.Listen(p.addr)}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	p.ep = ep
	go func() {
		if err := ep.Serve(context.Background()); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	t.Cleanup(ep.Close)
	return p
}

func (p *party) do(f func(*rtmfp.Engine)) {
	p.t.Helper()
	if err := p.ep.Do(f); err != nil {
		p.t.Error(err)
	}
}

func (p *party) stats() (s rtmfp.Stats) {
	p.do(func(e *rtmfp.Engine) { s = e.Stats() })
	return s
}

// open starts a session and returns it.
func (p *party) open(t rtmfp.Target) (s *rtmfp.Session) {
	p.t.Helper()
	p.do(func(e *rtmfp.Engine) {
		var err error
		if s, err = e.Open(t, p); err != nil {
			p.t.Fatal(err)
		}
	})
	return s
}

// say sends messages on a new flow of s.
func (p *party) say(s *rtmfp.Session, messages ...string) {
	p.t.Helper()
	p.do(func(*rtmfp.Engine) {
		f, err := s.OpenFlow([]byte("test"), flow.SendOptions{})
		if err != nil {
			p.t.Error(err)
			return
		}
		for _, m := range messages {
			if err := f.Write([]byte(m), flow.WriteOptions{}); err != nil {
				p.t.Error(err)
				return
			}
		}
		f.Close()
	})
}

func (p *party) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.messages...)
}

func (p *party) session(n int) *rtmfp.Session {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if n >= len(p.sessions) {
		p.t.Fatalf("%v: only %d sessions opened", p.addr, len(p.sessions))
	}
	return p.sessions[n]
}

func (p *party) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

func (p *party) reasons() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]error(nil), p.closed...)
}

func (p *party) Hello(e *rtmfp.Engine, h rtmfp.Hello) {
	if p.hello != nil {
		p.hello(e, h)
	}
}

func (p *party) Accept(*rtmfp.Session) rtmfp.SessionHandler { return p }

func (p *party) Opened(s *rtmfp.Session) {
	p.mu.Lock()
	p.sessions = append(p.sessions, s)
	p.mu.Unlock()
	if p.onOpen != nil {
		p.onOpen(s)
	}
}

func (p *party) Incoming(*rtmfp.Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{Receiver: p}, nil
}

func (p *party) Moved(*rtmfp.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved++
}

func (p *party) Closed(_ *rtmfp.Session, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = append(p.closed, err)
}

func (p *party) Message(_ *flow.RecvFlow, m []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = append(p.messages, string(m))
}

func (p *party) Ended(_ *flow.RecvFlow, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, err)
}

// uri is the target that names a server by its URI.
func uri(addrs ...netip.AddrPort) rtmfp.Target {
	return rtmfp.Target{EPD: flash.EPD{HasAncillary: true, Ancillary: []byte("rtmfp://server.example/app")}, Addrs: addrs}
}

func peer(id *flash.Identity, addrs ...netip.AddrPort) rtmfp.Target {
	return rtmfp.Target{EPD: id.Certificate().EPD(), Addrs: addrs}
}

// settle lets time pass on the network.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// introducing makes p introduce the peers connected to it, the plain way.
func introducing(p *party) {
	p.hello = func(e *rtmfp.Engine, h rtmfp.Hello) {
		target := e.SessionTo(h.EPD.Fingerprint)
		if target == nil {
			return
		}
		e.Redirect(h.Local, h.From, h.Tag, []wire.Address{{AddrPort: target.Addr(), Origin: wire.OriginObserved}})
		target.ForwardHello(h.RawEPD, wire.Address{AddrPort: h.From, Origin: wire.OriginObserved}, h.Tag)
	}
}
