package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

// connection is a client of a node, as small as one can be.
type connection struct {
	id       *flash.Identity
	endpoint *rtmfp.Endpoint
	client   *netconn.Client
	settled  chan struct{} // closed when it is connected or refused

	mu       sync.Mutex
	open     bool
	err      error
	statuses []amf.Object
	commands []netconn.Command
}

// connects connects to a node, and waits until it is taken or refused.
func connects(t *testing.T, uri string, args ...amf.Value) *connection {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{settled: make(chan struct{})}
	if c.id, err = flash.NewIdentity(flash.IdentityOptions{}); err != nil {
		t.Fatal(err)
	}
	conn, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.endpoint, err = rtmfp.NewEndpoint(rtmfp.Config{
		Identity: c.id, Handler: nobody{}, KeyPool: -1, Introductions: rtmfp.AnswerIntroductions,
	}, []rtmfp.Socket{conn}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { _ = c.endpoint.Serve(t.Context()) })
	t.Cleanup(func() { c.endpoint.Close(); served.Wait() })
	if err := c.endpoint.Do(func(e *rtmfp.Engine) {
		c.client, err = netconn.Dial(e, netconn.ClientConfig{URI: uri, Addrs: []netip.AddrPort{netip.MustParseAddrPort(u.Host)}, Args: args}, c)
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.settled:
	case <-time.After(20 * time.Second):
		t.Fatal("neither taken nor refused")
	}
	return c
}

type nobody struct{}

func (nobody) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (nobody) Accept(*rtmfp.Session) rtmfp.SessionHandler { return nil }

func (c *connection) settle(open bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open && c.err == nil {
		close(c.settled)
	}
	c.open, c.err = open, err
}

func (c *connection) Connected(amf.Object)             { c.settle(true, nil) }
func (c *connection) Closed(err error)                 { c.settle(false, err) }
func (c *connection) OnPeerConnect(*netconn.Peer) bool { return true }
func (c *connection) OnPlay(*netconn.PlayRequest)      {}

func (c *connection) Status(o amf.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statuses = append(c.statuses, o)
}

func (c *connection) Command(cmd netconn.Command) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commands = append(c.commands, cmd)
	return true
}

func (c *connection) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// why is what ended the connection.
func (c *connection) why() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.err)
}

func (c *connection) close() { _ = c.endpoint.Do(func(*rtmfp.Engine) { c.client.Close() }) }
