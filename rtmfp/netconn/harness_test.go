package netconn_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/wire"
)

const (
	nodeAddr  = "192.0.2.1:1935"
	aliceAddr = "198.51.100.1:5001"
	bobAddr   = "203.0.113.1:5002"
	nodeURI   = "rtmfp://192.0.2.1/live/room"
)

var line = memnet.Path{Delay: 20 * time.Millisecond}

// journal is what happened, in order: written on engines' goroutines, read by
// the test.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// take returns what was added since the last call.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

func (j *journal) has(t *testing.T, part string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if strings.Contains(l, part) {
			return
		}
	}
	t.Errorf("no %q in %q", part, j.lines)
}

// party is an endpoint on a network in memory.
type party struct {
	t    *testing.T
	ep   *rtmfp.Endpoint
	addr netip.AddrPort
	id   *flash.Identity
	journal
}

func newParty(t *testing.T, n *memnet.Network, addr string, o flash.IdentityOptions, h rtmfp.Handler) *party {
	t.Helper()
	id, err := flash.NewIdentity(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &party{t: t, addr: netip.MustParseAddrPort(addr), id: id}
	c := rtmfp.Config{Identity: id, Handler: h, KeyPool: -1}
	p.ep, err = rtmfp.NewEndpoint(c, []rtmfp.Socket{n.Listen(p.addr)}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := p.ep.Serve(context.Background()); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	t.Cleanup(p.ep.Close)
	return p
}

func (p *party) do(f func(*rtmfp.Engine)) {
	p.t.Helper()
	if err := p.ep.Do(f); err != nil {
		p.t.Error(err)
	}
}

// node is a server that introduces its clients the plain way.
type node struct {
	*party
	server  *netconn.Server
	conns   []*nodeConn
	connect func(c *nodeConn, r netconn.Request)
}

func newNode(t *testing.T, n *memnet.Network, edit ...func(*netconn.ServerConfig)) *node {
	t.Helper()
	s := &node{}
	s.connect = func(c *nodeConn, _ netconn.Request) {
		if err := c.Accept(); err != nil {
			t.Error(err)
		}
	}
	c := netconn.ServerConfig{MaxCommand: 4 << 10}
	for _, f := range edit {
		f(&c)
	}
	s.server = netconn.NewServer(c, func(c *netconn.Conn) netconn.ServerHandler {
		h := &nodeConn{Conn: c, node: s}
		s.conns = append(s.conns, h)
		return h
	})
	s.party = newParty(t, n, nodeAddr, flash.IdentityOptions{AcceptAncillary: true, Ephemeral: []flash.Group{flash.Group2}}, s)
	return s
}

func (s *node) Accept(session *rtmfp.Session) rtmfp.SessionHandler { return s.server.Accept(session) }

func (s *node) Hello(e *rtmfp.Engine, h rtmfp.Hello) {
	target := e.SessionTo(h.EPD.Fingerprint)
	if target == nil {
		return
	}
	e.Redirect(h.Local, h.From, h.Tag, []wire.Address{{AddrPort: target.Addr(), Origin: wire.OriginObserved}})
	target.ForwardHello(h.RawEPD, wire.Address{AddrPort: h.From, Origin: wire.OriginObserved}, h.Tag)
}

func (s *node) stats() (stats netconn.Stats) {
	s.do(func(*rtmfp.Engine) { stats = s.server.Stats() })
	return stats
}

// conn calls f with the n-th connection.
func (s *node) conn(n int, f func(c *nodeConn)) {
	s.t.Helper()
	s.do(func(*rtmfp.Engine) {
		if n >= len(s.conns) {
			s.t.Errorf("only %d connections", len(s.conns))
			return
		}
		f(s.conns[n])
	})
}

func (s *node) sessions() (n int) {
	s.do(func(e *rtmfp.Engine) { e.Sessions(func(*rtmfp.Session) { n++ }) })
	return n
}

type nodeConn struct {
	*netconn.Conn
	node *node
}

func (c *nodeConn) Connect(r netconn.Request) {
	c.node.add("connect app=%q encoding=%v args=%v", r.App, r.ObjectEncoding, r.Args)
	c.node.connect(c, r)
}
func (c *nodeConn) SetPeerInfo(a []netip.AddrPort) { c.node.add("setPeerInfo %v", a) }
func (c *nodeConn) Moved()                         { c.node.add("moved %v", c.Session().Addr()) }
func (c *nodeConn) Closed(err error)               { c.node.add("closed: %v", err) }
func (c *nodeConn) Command(cmd netconn.Command) bool {
	c.node.add("command %s %v", cmd.Name, cmd.Args)
	if cmd.Name != "echo" {
		return false
	}
	if err := c.Result(cmd.Transaction, cmd.Args...); err != nil && !errors.Is(err, flow.ErrFull) {
		c.node.t.Error(err)
	}
	return true
}

// peer is a client with all of its handlers.
type peer struct {
	*party
	client *netconn.Client
	accept func(*netconn.Peer) bool
	onPlay func(*netconn.PlayRequest)
	info   amf.Object // of the answer to connect

	// foreign takes sessions with peers in netconn's place; nil: netconn does.
	foreign func(*rtmfp.Session) rtmfp.SessionHandler
}

func (p *peer) Hello(*rtmfp.Engine, rtmfp.Hello) {}
func (p *peer) Accept(s *rtmfp.Session) rtmfp.SessionHandler {
	if p.foreign != nil {
		return p.foreign(s)
	}
	return p.client.Accept(s)
}

// newPeer starts an endpoint that is not connected yet.
func newPeer(t *testing.T, n *memnet.Network, addr string) *peer {
	t.Helper()
	p := &peer{accept: func(*netconn.Peer) bool { return true }}
	p.onPlay = func(r *netconn.PlayRequest) {
		if pub := p.client.Publication(r.Name); pub != nil {
			r.Accept(pub)
		} else {
			r.NotFound()
		}
	}
	p.party = newParty(t, n, addr, flash.IdentityOptions{Static: []flash.Group{flash.Group2}}, p)
	return p
}

// dial connects to the node.
func (p *peer) dial(edit func(*netconn.ClientConfig)) {
	p.t.Helper()
	c := netconn.ClientConfig{URI: nodeURI, Addrs: []netip.AddrPort{netip.MustParseAddrPort(nodeAddr)}}
	if edit != nil {
		edit(&c)
	}
	p.do(func(e *rtmfp.Engine) {
		var err error
		if p.client, err = netconn.Dial(e, c, p); err != nil {
			p.t.Error(err)
		}
	})
}

// with runs f on the engine's goroutine.
func (p *peer) with(f func(c *netconn.Client)) {
	p.t.Helper()
	p.do(func(*rtmfp.Engine) { f(p.client) })
}

func (p *peer) Connected(info amf.Object) {
	p.info = info
	p.add("connected %s", info.String("code"))
}
func (p *peer) Status(info amf.Object)                  { p.add("status %s", info.String("code")) }
func (p *peer) Closed(err error)                        { p.add("closed: %v", err) }
func (p *peer) OnPlay(r *netconn.PlayRequest)           { p.add("play %q", r.Name); p.onPlay(r) }
func (p *peer) OnPeerConnect(q *netconn.Peer) bool      { return p.accept(q) }
func (p *peer) Subscribed(*netconn.Peer)                { p.add("subscribed") }
func (p *peer) Unsubscribed(_ *netconn.Peer, err error) { p.add("unsubscribed: %v", err) }
func (p *peer) Writable()                               { p.add("writable") }
func (p *peer) Command(c netconn.Command) bool {
	p.add("command %s %v", c.Name, c.Args)
	if c.Name != "ping" {
		return false
	}
	if err := p.client.Result(c.Transaction, amf.String("pong")); err != nil {
		p.t.Error(err)
	}
	return true
}

// viewer is the handler of a subscription.
type viewer struct {
	journal
	messages []netconn.Message
}

func (v *viewer) Status(code string, _ amf.Object) { v.add("%s", code) }
func (v *viewer) Closed(err error)                 { v.add("closed: %v", err) }
func (v *viewer) Message(m netconn.Message) {
	m.Payload = append([]byte(nil), m.Payload...)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages = append(v.messages, m)
}

// settle lets time pass on the network.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
