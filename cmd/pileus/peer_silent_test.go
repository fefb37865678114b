package main

import (
	"context"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

// endpoint serves a handler on loopback until the test ends.
func endpoint(t *testing.T, h rtmfp.Handler, o flash.IdentityOptions) (*rtmfp.Endpoint, *flash.Identity, netip.AddrPort) {
	t.Helper()
	id, err := flash.NewIdentity(o)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rtmfp.NewEndpoint(rtmfp.Config{Identity: id, Handler: h}, []rtmfp.Socket{socket}, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- ep.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ep, id, socket.LocalAddr()
}

// shy is a client that publishes, and answers whoever plays as the test says.
type shy struct {
	client    *netconn.Client
	engine    *rtmfp.Engine
	connected chan struct{}
	asked     func(s *shy, r *netconn.PlayRequest)
}

func (s *shy) Hello(*rtmfp.Engine, rtmfp.Hello)                   {}
func (s *shy) Accept(session *rtmfp.Session) rtmfp.SessionHandler { return s.client.Accept(session) }
func (s *shy) Connected(amf.Object)                               { close(s.connected) }
func (s *shy) Status(amf.Object)                                  {}
func (s *shy) Command(netconn.Command) bool                       { return false }
func (s *shy) OnPeerConnect(*netconn.Peer) bool                   { return true }
func (s *shy) OnPlay(r *netconn.PlayRequest)                      { s.asked(s, r) }
func (s *shy) Closed(error)                                       {}
func (s *shy) Subscribed(*netconn.Peer)                           {}
func (s *shy) Unsubscribed(*netconn.Peer, error)                  {}
func (s *shy) Writable()                                          {}

func startShy(t *testing.T, uri string, node netip.AddrPort, asked func(*shy, *netconn.PlayRequest)) flash.PeerID {
	t.Helper()
	s := &shy{connected: make(chan struct{}), asked: asked}
	ep, id, _ := endpoint(t, s, flash.IdentityOptions{Static: []flash.Group{flash.Group2}})
	if err := ep.Do(func(e *rtmfp.Engine) {
		var err error
		s.engine = e
		if s.client, err = netconn.Dial(e, netconn.ClientConfig{URI: uri, Addrs: []netip.AddrPort{node}}, s); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.connected:
	case <-time.After(patience):
		t.Fatal("it does not connect")
	}
	return id.PeerID()
}

// A peer that is there and says nothing is waited for as long as --timeout has it; one
// that asks somebody, until it is answered.
func TestPeerSaysNothing(t *testing.T) {
	_, uri := silentNode(t)
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort(u.Host)
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		id := startShy(t, uri, server, func(*shy, *netconn.PlayRequest) {})
		player := startPeer(t, "--server", uri, "--play", id.String()+"/nosuch", "--timeout", "700ms")
		player.wait(exitFailure)
		player.find(`peer \S+ is reached, and says nothing of "nosuch" in 700 ms: it publishes no such stream`)
	})
	t.Run("it asks somebody", func(t *testing.T) {
		t.Parallel()
		id := startShy(t, uri, server, func(s *shy, r *netconn.PlayRequest) {
			r.Asked()
			s.engine.After(2*time.Second, func() {
				p, err := s.client.Publish(r.Name, netconn.PublishOptions{}, s)
				if err != nil {
					t.Error(err)
					return
				}
				r.Accept(p)
				p.Close()
			})
		})
		player := startPeer(t, "--server", uri, "--play", id.String()+"/cam", "--timeout", "700ms")
		player.find("waiting    for somebody at peer")
		player.find("playing")
		player.wait(exitOK)
	})
}

// deaf is a server that lets everybody in, and answers no call.
type deaf struct{ *netconn.Server }

func (*deaf) Hello(*rtmfp.Engine, rtmfp.Hello) {}

type deafConn struct{ *netconn.Conn }

func (c deafConn) Connect(netconn.Request)    { _ = c.Accept() }
func (deafConn) SetPeerInfo([]netip.AddrPort) {}
func (deafConn) Moved()                       {}
func (deafConn) Closed(error)                 {}
func (deafConn) Command(netconn.Command) bool { return true }

// A server that knows no names, and does not even say so, is not waited for.
func TestServerKnowsNoCalls(t *testing.T) {
	t.Parallel()
	h := &deaf{netconn.NewServer(netconn.ServerConfig{}, func(c *netconn.Conn) netconn.ServerHandler { return deafConn{c} })}
	_, _, at := endpoint(t, h, flash.IdentityOptions{AcceptAncillary: true, Ephemeral: []flash.Group{flash.Group2}})
	uri := "rtmfp://" + at.String() + "/app"
	for _, args := range [][]string{{"--name", "alice"}, {"--play", "alice/cam"}, {"--publish", "cam", "--pattern", "--accept", "alice"}} {
		p := startPeer(t, append([]string{"--server", uri, "--timeout", "700ms"}, args...)...)
		p.wait(exitFailure)
		p.find(`no answer to presence\.\w+ in 700 ms: node 127\.0\.0\.1:\d+ knows no names of peers; a pileus node does`)
	}
}
