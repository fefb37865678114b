package peer

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"pileus/cmd/pileus/flv"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// player is the stream that is played from another peer.
type player struct {
	task
	r      *runner
	stream *netconn.Subscription
	sink   *sink

	called      time.Time    // the publisher
	patience    *rtmfp.Timer // with what it says, once it is reached
	started     bool
	begun       time.Time
	tags, bytes uint64
}

func (p *player) state() *task {
	if p == nil {
		return nil
	}
	return &p.task
}

// String names the stream.
func (p *player) String() string {
	return fmt.Sprintf("%q of %s", p.r.cfg.Play.Name, p.r.cfg.Play.who())
}

func (r *runner) play() {
	p := &player{r: r}
	output := r.cfg.Output
	if output == nil {
		output = io.Discard
	}
	p.sink = newSink(output, p)
	r.player = p
	if name := r.cfg.Play.Holder; name != "" {
		r.watch(name, p.found, func() {
			if p.stream == nil && !p.done {
				r.report.event("awaiting", fmt.Sprintf("waiting    for %q to come to %s; Ctrl-C ends", name, r.server), "name", name)
			}
		})
		return
	}
	p.call()
}

// found begins to play when the publisher's name is there.
func (p *player) found(id flash.PeerID) {
	if p.stream != nil || p.done {
		return
	}
	p.r.cfg.Play.Peer = id
	p.r.report.event("found", fmt.Sprintf("found      %s", p.r.cfg.Play.who()), "name", p.r.cfg.Play.Holder, "peer_id", id.String())
	p.call()
}

// call opens a session to the publisher.
func (p *player) call() {
	r := p.r
	p.called = r.engine.Now()
	if r.cfg.Play.Peer == r.engine.Identity().PeerID() {
		p.complete(errors.New("a peer cannot play its own stream"))
		return
	}
	var err error
	if p.stream, err = r.conn.Play(r.cfg.Play.Peer, r.cfg.Play.Name, p); err != nil {
		p.complete(err)
	}
}

func (p *player) Status(code string, info amf.Object) {
	args := []any{"code", clean(code), "description", clean(info.String("description"))}
	text := ""
	switch code {
	case netconn.StatusStreamSuccess:
		p.patience = p.r.engine.After(p.r.cfg.Timeout, p.silent)
		if s := p.session(); s != nil {
			text = fmt.Sprintf("reached    peer %s at %v, %s", short(s.PeerID()), s.Addr(), rttText(s))
			args = append(args, "address", s.Addr().String(), "rtt_ms", s.RTT())
			p.tell(true, amf.Member{Name: "address", Value: amf.String(s.Addr().String())})
		}
	case netconn.StatusPlayAsked:
		p.patience.Stop()
		text = fmt.Sprintf("waiting    for somebody at peer %s to say yes or no", short(p.r.cfg.Play.Peer))
	case netconn.StatusPlayStart:
		text = fmt.Sprintf("playing    %q", p.r.cfg.Play.Name)
		p.begin()
	}
	p.r.report.event("stream-status", text, args...)
	if code == netconn.StatusUnpublishNotify {
		p.complete(nil)
	}
}

// silent ends the wait for a peer that is there and says nothing.
func (p *player) silent() {
	if p.done || p.started || p.stream == nil || p.stream.Started() {
		return
	}
	p.complete(fmt.Errorf("%s is reached, and says nothing of %q in %s: it publishes no such stream",
		p.r.cfg.Play.who(), p.r.cfg.Play.Name, spell(p.r.cfg.Timeout)))
}

// tell tells the server how the introduction went, which makes the next better.
// One that does not know the command ignores it.
func (p *player) tell(met bool, more ...amf.Member) {
	details := append(amf.Object{{Name: "ms", Value: amf.Number(p.r.engine.Now().Sub(p.called).Milliseconds())}}, more...)
	_ = p.r.conn.Send("introduction.report", amf.String(p.r.cfg.Play.Peer.String()), amf.Boolean(met), details)
}

// session is the open session with the publisher, or nil. It may exist before
// the stream does.
func (p *player) session() *rtmfp.Session {
	for _, peer := range p.r.conn.Peers() {
		if peer.ID() == p.r.cfg.Play.Peer && peer.Open() {
			return peer.Session()
		}
	}
	return nil
}

// begin notes that the publisher lets us.
func (p *player) begin() {
	if !p.started {
		p.started, p.begun = true, p.r.engine.Now()
	}
}

func (p *player) Message(m netconn.Message) {
	p.begin()
	p.tags++
	p.bytes += uint64(len(m.Payload))
	if m.Type == netconn.TypeData || m.Type == netconn.TypeDataExtended {
		p.data(m)
	}
	if !p.sink.push(flv.Tag{Type: uint8(m.Type), Timestamp: m.Timestamp, Data: m.Payload}) {
		p.stream.Pause(true)
	}
}

// data shows what the publisher sends beside sound and pictures.
func (p *player) data(m netconn.Message) {
	values, err := m.Data()
	name, ok := values.String(0)
	if err != nil || !ok || name == "onMetaData" || strings.HasPrefix(name, "|RtmpSampleAccess") {
		return
	}
	text, ok := values.String(1)
	if more := values.From(1); !ok && len(more) > 0 {
		text = fmt.Sprint([]amf.Value(more))
	}
	p.r.report.event("message", fmt.Sprintf("%-10s %s", clean(name), clean(text)),
		"handler", clean(name), "text", clean(text))
}

// Closed is the end of the stream that the publisher did not announce.
func (p *player) Closed(err error) {
	var lost *netconn.ServerLostError
	peer := p.r.cfg.Play.who()
	var status *netconn.StatusError
	switch {
	case p.done:
	case errors.As(err, &lost):
		p.complete(p.r.lost(lost.Err))
	case errors.Is(err, rtmfp.ErrNoAnswer):
		p.tell(false)
		p.complete(fmt.Errorf("no answer from %s in %s: it is not connected to %s, or cannot be reached",
			p.r.cfg.Play.whole(), spell(p.r.cfg.Timeout), p.r.server))
	case errors.As(err, &status) && status.Code == netconn.StatusPlayNotFound:
		p.complete(fmt.Errorf("%s has no stream %q", peer, p.r.cfg.Play.Name))
	case errors.Is(err, netconn.ErrFarClosed) && p.started:
		p.complete(nil) // the publisher closed the stream, not the session
	default:
		p.complete(fmt.Errorf("%w%s", why(peer, err), p.r.quiet()))
	}
}

func (p *player) complete(err error) {
	if p.done {
		return
	}
	p.done, p.err = true, err
	if p.started {
		d := p.r.engine.Now().Sub(p.begun)
		p.r.report.event("played", "played     "+summary(p.tags, p.bytes, d), "tags", p.tags, "bytes", p.bytes, "seconds", d.Seconds())
	}
	if p.stream != nil {
		p.stream.Close()
	}
	p.r.settle()
}

// drained is part of sinkEvents.
func (p *player) drained() { p.r.do(func() { p.stream.Pause(false) }) }

// failed is part of sinkEvents.
func (p *player) failed() {
	p.r.do(func() {
		if !p.done {
			p.complete(p.lost())
		}
	})
}

// lost is why what was played could not be written. Who reads a pipe may stop
// reading; that is no error.
func (p *player) lost() error {
	err := p.sink.broken()
	if err == nil || brokenPipe(err) {
		return nil
	}
	return fmt.Errorf("cannot write what is played: %w", err)
}

// brokenPipe tells that nobody reads any more.
func brokenPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
