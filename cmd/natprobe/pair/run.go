// Package pair has two hosts meet by a code, introduced by a node as any two of
// its clients, and measures what they met by.
//
// Everything about the protocol runs on the engine's goroutine, that of
// rtmfp.Endpoint.
package pair

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

// Bounds of a measurement: it may load a relay that others use.
const (
	MaxRate = 20_000_000 // bits a second of payload, each way
	MaxTime = time.Minute
)

const (
	closeGrace = 2 * time.Second
	firstRetry = 250 * time.Millisecond
	meetWithin = 30 * time.Second
)

// patience is how long things may take.
type patience struct {
	server time.Duration // to answer
	settle time.Duration // for the node to classify this host
	meet   time.Duration // from the call to the session
	code   time.Duration // for the other side to come
}

var usual = patience{server: 10 * time.Second, settle: 6 * time.Second, meet: meetWithin, code: Lifetime}

// ErrNoUDP tells that nothing came back from the server.
var ErrNoUDP = errors.New("no answer over UDP")

// Config is what a run is to do.
type Config struct {
	Server netip.AddrPort
	Others []netip.AddrPort // where the node may be, too: it is asked wherever it answers
	Key    string           // the tenant's, in the URI; "" for none
	Code   Code
	First  bool // wait for the other side; else call it
	Host   string

	Rate float64 // of the load, bits a second of payload, each way
	Time time.Duration

	Phase func(string) // is told what is done
	Ready func()       // is told that the other side may come
}

// runner is one run. Its fields belong to the engine's goroutine until over is
// closed.
type runner struct {
	cfg          Config
	name, stream string // see Code.keys
	limits       patience
	report       Report
	err          error
	over         chan struct{}

	// sockets are those of a side that refuses to meet directly; nil: any.
	sockets []rtmfp.Socket

	engine     *rtmfp.Engine
	conn       *netconn.Client
	patience   *rtmfp.Timer // with what is waited for
	classified bool
	found      bool
	target     flash.PeerID // once found: the side that waits
	calling    bool
	called     time.Time
	relayAt    netip.AddrPort // in the node's plan, for the other side; zero: none
	ending     bool
	closed     bool

	far  *netconn.Peer // once met
	test *test
}

// Run meets the other side, and reports. The error says why nothing could be
// tested.
func Run(ctx context.Context, c Config) (Report, error) {
	r, err := newRunner(c)
	if err != nil {
		return Report{}, err
	}
	return r.run(ctx)
}

func newRunner(c Config) (*runner, error) {
	name, stream, err := c.Code.keys()
	return &runner{cfg: c, name: name, stream: stream, limits: usual, over: make(chan struct{})}, err
}

func (r *runner) run(ctx context.Context) (Report, error) {
	c := &r.cfg
	identity, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		return Report{}, fmt.Errorf("cannot make a certificate: %w", err)
	}
	sockets, local := r.sockets, []netip.AddrPort(nil)
	if sockets == nil {
		if sockets, err = listen(c.Server.Addr().Is4()); err != nil {
			return Report{}, err
		}
		local = udp.OwnAddrs(sockets, c.Server.Addr().IsLoopback())
	}
	r.report = Report{Schema: Schema, Server: c.Server.String(), Path: NotMet, Asked: c.Rate}
	r.report.Here = Side{ID: identity.PeerID().String(), Host: c.Host, Local: local}
	endpoint, err := rtmfp.NewEndpoint(rtmfp.Config{
		Identity: identity, Handler: (*handler)(r), SequentialIDs: true, OpenTimeout: r.limits.meet,
	}, sockets, closeGrace)
	if err != nil {
		return Report{}, err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served := make(chan error, 1)
	go func() { served <- endpoint.Serve(serving) }()
	do := func(f func()) {
		_ = endpoint.Do(func(e *rtmfp.Engine) { // fails only when Serve does
			r.engine = e
			f()
		})
	}
	interrupted := context.AfterFunc(ctx, func() { do(r.interrupt) })
	defer interrupted()
	do(r.dial)
	select {
	case <-r.over:
		stop()
		err = <-served
	case err = <-served:
		if err == nil {
			err = net.ErrClosed
		}
	}
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("a socket failed: %w", err)
	}
	return r.report, r.err
}

// listen opens a socket of each family that this host has, one of the server's at
// least.
func listen(is4 bool) ([]rtmfp.Socket, error) {
	sockets, err := udp.ListenFamilies(udp.Options{})
	if err == nil && !slices.ContainsFunc(sockets, func(s rtmfp.Socket) bool { return s.LocalAddr().Addr().Is4() == is4 }) {
		for _, s := range sockets {
			_ = s.Close()
		}
		err = errors.New("this host has no UDP of the server's address family")
	}
	return sockets, err
}

func (r *runner) dial() {
	if r.ending {
		return
	}
	app := "connectivity" // at which a node tells what it finds out
	if r.cfg.Key != "" {
		app = r.cfg.Key + "/" + app
	}
	r.cfg.Phase("connecting to " + r.cfg.Server.String())
	conn, err := netconn.Dial(r.engine, netconn.ClientConfig{
		URI: "rtmfp://" + r.cfg.Server.String() + "/" + app, Addrs: append([]netip.AddrPort{r.cfg.Server}, r.cfg.Others...),
		Retry: firstRetry, PeerInfo: r.report.Here.Local, NetworkOrder: true,
	}, (*handler)(r))
	if err != nil {
		r.fail(err)
		return
	}
	r.conn = conn
	r.patience = r.engine.After(r.limits.server, func() { r.fail(r.silent()) })
}

func (r *runner) silent() error {
	if r.conn.Session().Open() {
		return fmt.Errorf("%v opened a session, but did not answer the connect: not an RTMFP server for clients", r.cfg.Server)
	}
	return fmt.Errorf("%w from %v in %v: UDP is blocked, or no node runs there", ErrNoUDP, r.cfg.Server, r.limits.server)
}

// wait waits for something with a limit, instead of what was waited for before.
func (r *runner) wait(limit time.Duration, late func()) {
	r.patience.Stop()
	r.patience = r.engine.After(limit, late)
}

func (r *runner) interrupt() {
	if r.test != nil {
		r.note("interrupted: what is missing was not measured to its end")
		r.finish()
		return
	}
	void := ""
	if r.cfg.First {
		void = ": the code is void"
	}
	r.fail(errors.New("interrupted before the two met" + void))
}

func (r *runner) note(text string) {
	if !r.ending {
		r.report.Notes = append(r.report.Notes, text)
	}
}

// fail ends a run of which there is nothing to report.
func (r *runner) fail(err error) {
	if !r.ending {
		r.err = err
	}
	r.finish()
}

// missed ends a run in which the two did not meet. Why they should have met so is
// the better half of the reason.
func (r *runner) missed(text string) {
	if r.report.Reason == "" {
		r.report.Reason = text
	} else {
		r.note(text)
	}
	r.finish()
}

// finish takes leave.
func (r *runner) finish() {
	if r.ending {
		return
	}
	r.ending = true
	if r.test != nil {
		r.test.conclude()
	}
	if r.conn == nil || r.closed {
		r.done()
		return
	}
	r.engine.After(closeGrace, r.conn.Abort)
	r.conn.Close()
}

func (r *runner) done() {
	select {
	case <-r.over:
	default:
		close(r.over)
	}
}
