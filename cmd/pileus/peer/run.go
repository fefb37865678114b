package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

// Times of a polite end.
const (
	closeGrace = 3 * time.Second        // for the far ends to take leave
	idleGrace  = 100 * time.Millisecond // for a goroutine that may be stuck in a read
)

// runner is one run. Its fields belong to the engine's goroutine once that
// runs, but for those set before.
type runner struct {
	cfg      Config
	server   Server
	report   *reporter
	endpoint *rtmfp.Endpoint
	helpers  sync.WaitGroup
	stopping context.Context // ends when the helpers shall

	engine    *rtmfp.Engine
	conn      *netconn.Client
	patience  *rtmfp.Timer // with the server
	publisher *publisher   // nil: nothing to publish
	player    *player      // nil: nothing to play
	meter     meter
	watches   map[string][]watch      // by name
	holders   map[string]flash.PeerID // of the names that may play

	ending  bool
	outcome error
	over    chan struct{} // closed when the NetConnection and all sessions with peers are
}

// Run does what c says. It returns nil only if that happened, and a
// *NoAnswerError if the server stayed silent. When polite ends it takes leave
// of the far ends, when atOnce ends it does not.
func Run(polite, atOnce context.Context, c Config) error {
	c.fill()
	if err := c.Validate(); err != nil {
		return err
	}
	report := newReporter(c.Report)
	err := run(polite, atOnce, c, report)
	end := []any{"ok", err == nil}
	if err != nil {
		end = append(end, "reason", err.Error())
	}
	report.event("end", "", end...)
	report.close(atOnce.Done())
	return err
}

func run(polite, atOnce context.Context, c Config, report *reporter) error {
	server, err := ParseServer(c.Server)
	if err != nil {
		return err
	}
	addrs, err := server.resolve(polite)
	if err != nil {
		return err
	}
	identity, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		return fmt.Errorf("cannot make a certificate: %w", err)
	}
	sockets, err := udp.ListenFamilies(udp.Options{})
	if err != nil {
		return err
	}
	r := &runner{cfg: c, server: server, report: report, over: make(chan struct{})}
	r.endpoint, err = rtmfp.NewEndpoint(rtmfp.Config{
		Identity: identity, Handler: (*handler)(r),
		SequentialIDs: true, OpenTimeout: c.Timeout, MaxMessage: c.MaxMessage,
	}, sockets, closeGrace)
	if err != nil {
		return err
	}
	report.event("start", "peer ID    "+identity.PeerID().String(), "peer_id", identity.PeerID().String(), "server", c.Server)

	stopping, stop := context.WithCancel(context.WithoutCancel(polite))
	r.stopping = stopping
	serving, stopServing := context.WithCancel(context.WithoutCancel(polite))
	served := make(chan error, 1)
	go func() { served <- r.endpoint.Serve(serving) }()
	insisted := context.AfterFunc(atOnce, r.endpoint.Close)
	asked := context.AfterFunc(polite, func() { r.do(func() { r.interrupt(errInterrupted.Error()) }) })

	r.do(func() {
		usable := reachable(addrs, sockets)
		if len(usable) == 0 {
			r.fail(fmt.Errorf("this machine has no address of the kind that %s has", server.Host))
			return
		}
		r.dial(usable, sockets)
	})
	var failed error
	select {
	case <-r.over:
	case failed = <-served:
		served <- nil
	}
	stop()
	stopServing()
	failed = errors.Join(failed, <-served)
	insisted()
	asked()
	r.wait(polite, atOnce)
	switch {
	case r.player != nil && r.player.lost() != nil:
		return r.player.lost()
	case failed != nil:
		return fmt.Errorf("a socket failed: %w", failed)
	case atOnce.Err() != nil && r.outcome == nil:
		return errInterrupted
	}
	return r.outcome
}

// wait waits for what was played to be written, and for the other helpers for
// a moment: they may be stuck in a read.
func (r *runner) wait(polite, atOnce context.Context) {
	if p := r.player; p != nil {
		p.sink.end()
		late := make(chan struct{})
		patience := context.AfterFunc(polite, func() { time.AfterFunc(closeGrace, func() { close(late) }) })
		defer patience()
		select {
		case <-p.sink.done:
		case <-late:
		case <-atOnce.Done():
		}
	}
	idle := make(chan struct{})
	go func() { r.helpers.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-time.After(idleGrace):
	}
}

// do runs f on the engine's goroutine; it is lost when that has ended.
func (r *runner) do(f func()) {
	_ = r.endpoint.Do(func(e *rtmfp.Engine) {
		r.engine = e
		f()
	})
}

// interrupt ends the run for a reason that is no failure, and judges what was
// reached so far.
func (r *runner) interrupt(reason string) {
	switch {
	case r.conn == nil || !r.conn.Connected():
		r.finish(errInterrupted)
	case r.player != nil && !r.player.started:
		r.finish(fmt.Errorf("%s before %s played", reason, r.player))
	default:
		if r.player != nil {
			r.player.complete(nil)
		}
		if r.publisher != nil {
			r.publisher.stop()
		}
		r.settle()
	}
}

// settle ends the run when everything that was asked for is done, or one part
// of it cannot be done.
func (r *runner) settle() {
	for _, t := range []*task{r.publisher.state(), r.player.state()} {
		if t != nil && t.done && t.err != nil {
			r.finish(t.err)
			return
		}
	}
	for _, t := range []*task{r.publisher.state(), r.player.state()} {
		if t != nil && !t.done {
			return
		}
	}
	r.finish(nil)
}

// task is a part of what a run is asked to do.
type task struct {
	done bool
	err  error
}

func (r *runner) fail(err error) { r.finish(err) }

// finish takes leave.
func (r *runner) finish(err error) {
	if r.ending {
		return
	}
	r.ending, r.outcome = true, err
	if r.conn == nil {
		close(r.over)
		return
	}
	r.engine.After(closeGrace, r.conn.Abort)
	r.conn.Close()
}
