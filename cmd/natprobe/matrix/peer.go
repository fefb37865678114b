package matrix

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

// ServerVariable is the variable of the environment that tells a peer program
// the node's URI.
const ServerVariable = "PILEUS_SERVER"

const (
	peerGrace   = 100 * time.Millisecond // to take leave; the lab is in a hurry
	peerTimeout = 30 * time.Second       // whoever started it is less patient
	defaultPort = "1935"
	streamName  = "matrix" // that nobody has: the session is what counts
)

// PeerConfig is what the peer of this package is told.
type PeerConfig struct {
	Server string        // rtmfp://address[:port]/
	Retry  time.Duration // first repeat of a startup packet; 0: 250 ms
	Deaf   bool          // answer no introduction
}

// peer is a peer program of its own. Its fields belong to the engine's
// goroutine.
type peer struct {
	out    io.Writer
	deaf   bool
	engine *rtmfp.Engine
	conn   *netconn.Client
	over   chan error
}

// RunPeer is the peer that the matrix uses unless told another. It ends with
// the input or with ctx, whichever is first.
func RunPeer(ctx context.Context, c PeerConfig, in io.Reader, out io.Writer) error {
	server, err := serverAddr(c.Server)
	if err != nil {
		return err
	}
	identity, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		return err
	}
	sockets, err := udp.ListenFamilies(udp.Options{})
	if err != nil {
		return err
	}
	p := &peer{out: out, deaf: c.Deaf, over: make(chan error, 1)}
	endpoint, err := rtmfp.NewEndpoint(rtmfp.Config{
		Identity: identity, Handler: p, SequentialIDs: true, OpenTimeout: peerTimeout,
	}, sockets, peerGrace)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "PEERID %v\n", identity.PeerID())

	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- endpoint.Serve(serving) }()
	go func() {
		defer stop()
		p.obey(endpoint, in)
	}()
	_ = endpoint.Do(func(e *rtmfp.Engine) { // fails only when Serve does
		p.engine = e
		p.conn, err = netconn.Dial(e, netconn.ClientConfig{
			URI: c.Server, Addrs: []netip.AddrPort{server}, Retry: cmp.Or(c.Retry, 250*time.Millisecond), PeerInfo: udp.OwnAddrs(sockets, false),
		}, p)
		if err != nil {
			p.Closed(err)
		}
	})
	select {
	case err := <-p.over:
		stop()
		return errors.Join(err, <-served)
	case err := <-served:
		return err
	}
}

func serverAddr(uri string) (netip.AddrPort, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "rtmfp" {
		return netip.AddrPort{}, fmt.Errorf("%q is not of the form rtmfp://address[:port]/", uri)
	}
	return netip.ParseAddrPort(net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPort)))
}

// obey reads what to do.
func (p *peer) obey(endpoint *rtmfp.Endpoint, in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		word, id, _ := strings.Cut(lines.Text(), " ")
		if word != "CONNECT" {
			continue
		}
		far, err := flash.ParsePeerID(id)
		if err != nil {
			p.fail(err)
			continue
		}
		if endpoint.Do(func(e *rtmfp.Engine) { p.call(e, far) }) != nil {
			return
		}
	}
}

func (p *peer) fail(err error) { fmt.Fprintf(p.out, "FAIL reason=%v\n", err) }

// call opens a session. Playing a stream is how applications do.
func (p *peer) call(e *rtmfp.Engine, far flash.PeerID) {
	if _, err := p.conn.Play(far, streamName, &call{peer: p, far: far, engine: e, begun: time.Now()}); err != nil {
		p.fail(err)
	}
}

type call struct {
	peer   *peer
	far    flash.PeerID
	engine *rtmfp.Engine
	begun  time.Time
	done   bool
	echoed bool
}

// Status is told of the session first, then of what the far end says of the stream.
func (c *call) Status(code string, _ amf.Object) {
	if c.done && !c.echoed {
		c.echoed = true
		fmt.Fprintf(c.peer.out, "ECHO ms=%.1f\n", c.millis())
	}
	if code != netconn.StatusStreamSuccess || c.done {
		return
	}
	c.done = true
	s := c.engine.SessionTo(c.far)
	if s == nil {
		c.peer.fail(errors.New("the session is gone"))
		return
	}
	fmt.Fprintf(c.peer.out, "CONNECTED far=%v ms=%.1f\n", s.Addr(), c.millis())
}

func (c *call) millis() float64 { return float64(time.Since(c.begun).Microseconds()) / 1000 }

func (c *call) Message(netconn.Message) {}

func (c *call) Closed(err error) {
	if !c.done {
		c.done = true
		c.peer.fail(err)
	}
}

// What follows is the peer as its engine and its NetConnection see it.

func (p *peer) Hello(*rtmfp.Engine, rtmfp.Hello) {}

func (p *peer) Accept(s *rtmfp.Session) rtmfp.SessionHandler {
	if p.conn == nil {
		return nil
	}
	return p.conn.Accept(s)
}

func (p *peer) Connected(amf.Object) {
	if p.deaf {
		p.engine.Sessions(func(s *rtmfp.Session) { s.SetIntroductions(rtmfp.IgnoreIntroductions) })
	}
	fmt.Fprintln(p.out, "READY echo")
}

func (p *peer) Status(amf.Object)                   {}
func (p *peer) Command(netconn.Command) bool        { return false }
func (p *peer) OnPeerConnect(*netconn.Peer) bool    { return true }
func (p *peer) OnPlay(request *netconn.PlayRequest) { request.NotFound() }

func (p *peer) Closed(err error) {
	select {
	case p.over <- err:
	default:
	}
}
