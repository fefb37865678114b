package prober

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/report"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

const (
	// NodePort is where a node speaks RTMFP.
	NodePort = 1935

	nodeRetry    = 300 * time.Millisecond
	nodePatience = 2 * time.Second // for the handshake
	// checkPatience is for what a node finds out by itself, about two seconds.
	checkPatience = 6 * time.Second
	nodeGrace     = 100 * time.Millisecond

	connectivityApp    = "connectivity"
	connectivityResult = "NetConnection.ConnectivityCheck.Results"
)

// Node opens an RTMFP session with a node as an application would, and asks it what
// it finds out about this host by introductions.
func Node(ctx context.Context, at netip.AddrPort, local netip.Addr) report.Node {
	n := report.Node{At: at}
	identity, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		n.Text = err.Error()
		return n
	}
	socket, err := udp.Listen(netip.AddrPortFrom(local, 0), udp.Options{})
	if err != nil {
		n.Text = plain(err)
		return n
	}
	c := &nodeClient{began: time.Now(), connected: make(chan struct{}), told: make(chan amf.Object, 1), over: make(chan error, 1)}
	endpoint, err := rtmfp.NewEndpoint(rtmfp.Config{Identity: identity, Handler: c}, []rtmfp.Socket{socket}, nodeGrace)
	if err != nil {
		n.Text = err.Error()
		return n
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- endpoint.Serve(serving) }()
	_ = endpoint.Do(func(e *rtmfp.Engine) { // fails only when Serve does
		var err error
		c.conn, err = netconn.Dial(e, netconn.ClientConfig{
			URI: fmt.Sprintf("rtmfp://%v/%s", at, connectivityApp), Addrs: []netip.AddrPort{at}, Retry: nodeRetry,
			PeerInfo: []netip.AddrPort{socket.LocalAddr()},
		}, c)
		if err != nil {
			c.Closed(err)
		}
	})
	c.await(ctx, &n)
	stop()
	if err := <-served; err != nil && n.Text == "" {
		n.Text = plain(err)
	}
	return n
}

// nodeClient is a NetConnection of which only its beginning counts. conn, took and
// peer belong to the engine's goroutine until connected is closed.
type nodeClient struct {
	conn      *netconn.Client
	began     time.Time
	took      time.Duration
	peer      flash.PeerID
	connected chan struct{}
	told      chan amf.Object
	over      chan error
}

func (c *nodeClient) await(ctx context.Context, n *report.Node) {
	timeout, cancel := context.WithTimeout(ctx, nodePatience)
	defer cancel()
	select {
	case <-c.connected:
		n.Works, n.Took, n.Fingerprint = natprobe.Yes, c.took, c.peer.String()
	case err := <-c.over:
		n.Works, n.Text = natprobe.No, plain(err)
		return
	case <-timeout.Done():
		n.Works, n.Text = natprobe.No, "no answer"
		return
	}
	patience, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	select {
	case info := <-c.told:
		read(info, n)
	case err := <-c.over:
		n.Text = plain(err)
	case <-patience.Done():
		n.Text = "it is told nothing of this host: no pileus node, or one without probes"
	}
}

// read takes what the event says; what is not there, or of other words, is unknown.
func read(info amf.Object, n *report.Node) {
	_ = n.Mapping.UnmarshalText([]byte(info.String("mapping")))
	_ = n.Filtering.UnmarshalText([]byte(info.String("filtering")))
	_ = n.Class.UnmarshalText([]byte(info.String("natClass")))
	n.Seen, _ = netip.ParseAddrPort(info.String("publicAddress"))
	if step := info.Number("portStep"); step >= -0xffff && step <= 0xffff {
		n.Step = int(step)
	}
}

// What follows is the client as its engine and its NetConnection see it.

func (c *nodeClient) Hello(*rtmfp.Engine, rtmfp.Hello) {}

func (c *nodeClient) Accept(s *rtmfp.Session) rtmfp.SessionHandler {
	if c.conn == nil {
		return nil
	}
	return c.conn.Accept(s)
}

func (c *nodeClient) Connected(amf.Object) {
	c.took = time.Since(c.began)
	if s := c.conn.Session(); s != nil {
		c.peer = s.Far().PeerID()
	}
	close(c.connected)
}

func (c *nodeClient) Status(info amf.Object) {
	if info.String("code") != connectivityResult {
		return
	}
	select {
	case c.told <- info:
	default:
	}
}

func (c *nodeClient) Command(netconn.Command) bool        { return false }
func (c *nodeClient) OnPeerConnect(*netconn.Peer) bool    { return false }
func (c *nodeClient) OnPlay(request *netconn.PlayRequest) { request.NotFound() }

var errEnded = errors.New("the connection ended")

func (c *nodeClient) Closed(err error) {
	if err == nil {
		err = errEnded
	}
	select {
	case c.over <- err:
	default:
	}
}
