package introducer_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"pileus/introducer"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

// guest is a client of a node. Its methods are called on its engine's goroutine.
type guest struct {
	client *netconn.Client
	seek   string        // whose stream to play; empty: publish
	events chan<- string // what happens, for the application
	stream *netconn.Publication
}

// enter connects a guest under a name. Whoever calls it closes the endpoint.
func (g *guest) enter(node netip.AddrPort, name string) (*rtmfp.Endpoint, error) {
	id, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		return nil, err
	}
	socket, err := udp.Listen(netip.AddrPortFrom(node.Addr(), 0), udp.Options{})
	if err != nil {
		return nil, err
	}
	ep, err := rtmfp.NewEndpoint(rtmfp.Config{
		Identity: id, Handler: g, Introductions: rtmfp.AnswerIntroductions, // else nobody meets it
	}, []rtmfp.Socket{socket}, time.Second)
	if err != nil {
		return nil, err
	}
	go func() { _ = ep.Serve(context.Background()) }()
	doErr := ep.Do(func(e *rtmfp.Engine) {
		g.client, err = netconn.Dial(e, netconn.ClientConfig{
			URI: "rtmfp://" + node.String() + "/example", Addrs: []netip.AddrPort{node},
			Args:     []amf.Value{amf.String(name)},        // presence.name_arg: 1
			PeerInfo: []netip.AddrPort{socket.LocalAddr()}, // for peers in the same network
		}, g)
	})
	if err == nil {
		err = doErr
	}
	return ep, err
}

func (g *guest) Connected(amf.Object) {
	_ = g.client.Send("introduction.notify", amf.Boolean(true)) // Status hears why peers are not met
	if g.seek == "" {
		g.stream, _ = g.client.Publish("words", netconn.PublishOptions{}, g)
		g.events <- "published"
		return
	}
	_ = g.client.Call("presence.lookup", func(results amf.Args, err error) {
		if err != nil {
			g.events <- err.Error()
			return
		}
		found, _ := results.Object(0)
		if peer, err := flash.ParsePeerID(found.String("peerID")); err == nil {
			_, _ = g.client.Play(peer, "words", listener{g}) // the node introduces the two
		}
	}, amf.String(g.seek))
}

// Status is told the node's events, such as Pileus.Introduction.Failed.
func (g *guest) Status(info amf.Object) {
	g.events <- info.String("code") + " " + info.String("advice")
}

func (g *guest) OnPeerConnect(*netconn.Peer) bool             { return true }
func (g *guest) OnPlay(r *netconn.PlayRequest)                { r.Accept(g.stream) }
func (g *guest) Subscribed(*netconn.Peer)                     { _ = g.stream.Send("say", amf.String("hello")) }
func (g *guest) Unsubscribed(*netconn.Peer, error)            {}
func (g *guest) Writable()                                    {}
func (g *guest) Command(netconn.Command) bool                 { return false }
func (g *guest) Closed(error)                                 {}
func (g *guest) Hello(*rtmfp.Engine, rtmfp.Hello)             {}
func (g *guest) Accept(s *rtmfp.Session) rtmfp.SessionHandler { return g.client.Accept(s) } // peers that call

// listener is who plays a stream.
type listener struct{ *guest }

func (l listener) Status(string, amf.Object) {}
func (l listener) Message(m netconn.Message) {
	if values, err := m.Data(); err == nil && m.Type == netconn.TypeData {
		name, _ := values.String(0)
		word, _ := values.String(1)
		l.events <- name + " " + word
	}
}

// node runs a node on loopback, and says where.
func node() (*rtmfp.Endpoint, error) {
	id, err := flash.NewIdentity(flash.IdentityOptions{AcceptAncillary: true})
	if err != nil {
		return nil, err
	}
	socket, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Options{})
	if err != nil {
		return nil, err
	}
	n := introducer.New(introducer.Config{NameArg: 1, Log: slog.New(slog.DiscardHandler)})
	ep, err := rtmfp.NewEndpoint(rtmfp.Config{Identity: id, Handler: n}, []rtmfp.Socket{socket}, time.Second)
	if err == nil {
		go func() { _ = ep.Serve(context.Background()) }()
	}
	return ep, err
}

// Two clients meet by name through a node, and one says something to the other.
func Example() {
	server, err := node()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	for _, g := range []struct{ name, seek string }{{"alice", ""}, {"bob", "alice"}} {
		events := make(chan string, 8)
		ep, err := (&guest{seek: g.seek, events: events}).enter(server.Addrs()[0], g.name)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer ep.Close()
		select {
		case event := <-events:
			fmt.Println(g.name+":", event)
		case <-time.After(10 * time.Second):
			fmt.Println(g.name + ": nothing")
		}
	}
	// Output:
	// alice: published
	// bob: say hello
}
