package netconn

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
)

// ClientConfig is what a Client is made of. URI and Addrs are required.
type ClientConfig struct {
	URI   string           // rtmfp://host[:port]/app[/instance]
	Addrs []netip.AddrPort // the server's addresses
	Local netip.AddrPort   // socket to use; zero: any
	Retry time.Duration    // before the first repeat of a startup packet; 0: 1 s

	Args       []amf.Value  // arguments of connect, after its properties
	Properties []amf.Member // more properties of connect

	// PeerInfo are the addresses that the server is told once connected, for
	// others to reach this client at. None: only the observed address counts.
	PeerInfo []netip.AddrPort

	// MaxCommand is the longest command taken, in bytes: 0 is
	// DefaultMaxCommand.
	MaxCommand int

	// NetworkOrder has messages of flows that ask for it delivered as they
	// arrive, out of order. Otherwise all are delivered in order.
	NetworkOrder bool
}

// ClientHandler is the application's side of a Client.
type ClientHandler interface {
	// Connected is called once, with the information object of the server's
	// answer to connect.
	Connected(info amf.Object)

	// Status is told the server's onStatus events.
	Status(info amf.Object)

	// Command takes another command of the server. If it is not handled and
	// wants an answer, the server is told that the call failed.
	Command(c Command) (handled bool)

	// OnPeerConnect decides whether p may play a stream from here. It is asked
	// each time, as Flash does.
	OnPeerConnect(p *Peer) (accept bool)

	// OnPlay is asked for a stream; r's methods answer it, now or later.
	OnPlay(r *PlayRequest)

	// Closed is called once, last, when the NetConnection and all sessions
	// with peers are over: with a *StatusError if the server refused, with an
	// error that unwraps to net.ErrClosed if either end closed, else with what
	// went wrong.
	Closed(err error)
}

type clientState uint8

const (
	clientConnecting clientState = iota
	clientConnected
	clientClosing // by this end: what was sent is still delivered
	clientClosed
)

// Client is the client's end of a NetConnection, and of the sessions with peers
// that it brings about.
type Client struct {
	engine  *rtmfp.Engine
	cfg     ClientConfig
	handler ClientHandler
	app     string

	session *rtmfp.Session
	control *flow.SendFlow
	server  *flow.RecvFlow // the server's canonical control flow

	calls    calls
	barriers barriers[*flow.RecvFlow]
	flows    int // open ones, from the server

	peers         []*Peer
	publications  map[string]*Publication
	peerKeepalive time.Duration

	state   clientState
	err     error // why it is over
	told    bool  // handler.Closed was called
	stats   Stats
	scratch []byte // a message being built; flows copy it
}

// Dial opens a session to a server and connects. Its outcome goes to h.
func Dial(e *rtmfp.Engine, cfg ClientConfig, h ClientHandler) (*Client, error) {
	u, err := url.Parse(cfg.URI)
	if err != nil || u.Scheme != "rtmfp" || u.Host == "" {
		return nil, fmt.Errorf("netconn: %q is not of the form rtmfp://host[:port]/app", cfg.URI)
	}
	if cfg.MaxCommand == 0 {
		cfg.MaxCommand = DefaultMaxCommand
	}
	app := strings.TrimPrefix(u.Path, "/")
	if u.RawQuery != "" {
		app += "?" + u.RawQuery
	}
	c := &Client{engine: e, cfg: cfg, handler: h, app: app}
	c.session, err = e.Open(rtmfp.Target{
		EPD:   flash.EPD{Ancillary: []byte(cfg.URI), HasAncillary: true},
		Addrs: cfg.Addrs, Local: cfg.Local, Retry: cfg.Retry,
	}, (*clientSession)(c))
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Session is the session with the server.
func (c *Client) Session() *rtmfp.Session { return c.session }

// Connected tells whether the server accepted the connect and the connection is
// not over.
func (c *Client) Connected() bool { return c.state == clientConnected }

// Stats are the counters of the connection and of the streams with peers.
func (c *Client) Stats() Stats { return c.stats }

// Send sends the server a command that wants no answer.
func (c *Client) Send(name string, args ...amf.Value) error {
	if c.state != clientConnected {
		return ErrNotConnected
	}
	return c.write(Command{Name: name, Args: args})
}

// Call sends the server a command and has done called with the answer, or with
// why there is none.
func (c *Client) Call(name string, done Done, args ...amf.Value) error {
	if c.state != clientConnected {
		return ErrNotConnected
	}
	return c.call(Command{Name: name, Args: args}, done)
}

// Result answers a command of the server.
func (c *Client) Result(transaction float64, values ...amf.Value) error {
	return c.write(Command{Name: "_result", Transaction: transaction, Args: values})
}

// SetPeerInfo tells the server the addresses of this client, replacing those
// that it was told before.
func (c *Client) SetPeerInfo(addrs []netip.AddrPort) error {
	if c.state != clientConnected {
		return ErrNotConnected
	}
	return c.write(peerInfo(addrs))
}

// Close ends the streams, then the connection. What was sent is still delivered,
// for as long as the far ends take it: a caller in a hurry calls Abort next.
func (c *Client) Close() {
	switch c.state {
	case clientConnecting:
		c.end(ErrClosed)
	case clientConnected:
		c.state = clientClosing
		for _, p := range slices.Clone(c.peers) {
			p.Close()
		}
		c.proceed()
	default:
	}
}

// proceed goes on closing when the peers are gone.
func (c *Client) proceed() {
	if len(c.peers) > 0 {
		return
	}
	switch c.state {
	case clientClosing:
		c.control.Close()
	case clientClosed:
		if !c.told {
			c.told = true
			c.handler.Closed(c.err)
		}
	default:
	}
}

// Abort ends the connection and all sessions at once.
func (c *Client) Abort() { c.end(ErrClosed) }

func (c *Client) call(cmd Command, done Done) error {
	t, err := c.calls.begin(done)
	if err != nil {
		return err
	}
	cmd.Transaction = t
	if err := c.write(cmd); err != nil {
		c.calls.forget(t)
		return err
	}
	return nil
}

func (c *Client) write(cmd Command) error {
	if c.control == nil || c.state >= clientClosing {
		return ErrNotConnected
	}
	c.scratch = cmd.Append(c.scratch[:0], TypeCommand)
	return c.control.Write(c.scratch, flow.WriteOptions{})
}

// connect sends the first command, whose transaction ID is 1.
func (c *Client) connect() error {
	// What Flash sends of its kind; servers judge clients by it.
	o := amf.Object{
		{Name: "app", Value: amf.String(c.app)},
		{Name: "flashVer", Value: amf.String("WIN 11,2,202,235")},
		{Name: "tcUrl", Value: amf.String(c.cfg.URI)},
		{Name: "fpad", Value: amf.Boolean(false)},
		{Name: "capabilities", Value: amf.Number(239)},
		{Name: "audioCodecs", Value: amf.Number(3575)},
		{Name: "videoCodecs", Value: amf.Number(252)},
		{Name: "videoFunction", Value: amf.Number(1)},
		{Name: "objectEncoding", Value: amf.Number(0)},
	}
	o = append(o, c.cfg.Properties...)
	return c.call(Command{Name: "connect", Object: o, Args: c.cfg.Args}, c.connected)
}

// connected takes the answer to connect.
func (c *Client) connected(results amf.Args, err error) {
	if err != nil {
		c.end(err)
		return
	}
	c.state = clientConnected
	// "an RTMFP client MUST send a setPeerInfo command to the server after
	// receiving a successful response" (RFC 7425 5.3.3)
	if err := c.write(peerInfo(c.cfg.PeerInfo)); err != nil {
		c.end(err)
		return
	}
	o, _ := results.Object(0)
	c.handler.Connected(o)
}

// end ends the NetConnection for the reason err, and with it the sessions with
// peers.
func (c *Client) end(err error) {
	if c.state == clientClosed {
		return
	}
	c.state, c.err = clientClosed, err
	c.session.CloseError(err)
	c.calls.fail(err)
	lost := &ServerLostError{Server: c.cfg.URI, Err: err}
	for _, p := range slices.Clone(c.peers) {
		p.session.CloseError(lost)
	}
	c.proceed()
}
