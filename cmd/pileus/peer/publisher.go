package peer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// publisher is the stream that this peer offers. It begins when the first peer
// plays it: what is read from a file must not be gone by then.
type publisher struct {
	task
	r         *runner
	stream    *netconn.Publication
	questions questions

	begin    chan struct{} // closed when somebody plays
	writable chan struct{} // has a token when there is room again
	peers    []*netconn.Peer
	played   bool // somebody ever played
	begun    time.Time

	whole   bool      // all that there was to publish was written
	leaving bool      // the end of the stream is on its way to peers
	limit   time.Time // of the end, once that has begun

	tags, bytes uint64
	skipped     uint64 // messages of types that streams do not have
}

func (p *publisher) state() *task {
	if p == nil {
		return nil
	}
	return &p.task
}

// textHandler is the name under which texts are sent, as with the method send
// of Flash's NetStream.
const textHandler = "onText"

func (r *runner) publish() {
	p := &publisher{r: r, begin: make(chan struct{}), writable: make(chan struct{}, 1)}
	p.questions.publisher = p
	r.publisher = p
	var err error
	// One flow keeps the order of all messages.
	p.stream, err = r.conn.Publish(r.cfg.Publish, netconn.PublishOptions{SingleFlow: true, Lifetime: r.cfg.Lifetime}, p)
	if err != nil {
		r.fail(err)
		return
	}
	name := r.cfg.Publish
	command := fmt.Sprintf("%s peer --server %s --play %s",
		r.report.Program, quote(r.cfg.Server), quote(cmp.Or(r.cfg.Name, r.engine.Identity().PeerID().String())+"/"+name))
	if r.cfg.Input != nil || r.cfg.Pattern {
		command += " > out.flv"
	}
	r.report.event("publish", fmt.Sprintf("publishing %q; it begins when a peer plays it:\n           %s", name, command),
		"name", name, "play", command)
	r.helpers.Go(p.feed)
	if r.cfg.Accept.Asks() && r.cfg.Answers != nil {
		go p.questions.read(r.cfg.Answers) // it may sit in a read for ever
	}
}

// admits is asked first, asked then.
func (p *publisher) admits(peer *netconn.Peer) bool {
	if p.r.judge(peer.ID()) != no && !p.done {
		return true
	}
	p.refuse(peer)
	return false
}

func (p *publisher) asked(request *netconn.PlayRequest) {
	if p.r.judge(request.Peer.ID()) == ask {
		p.questions.ask(request)
		return
	}
	request.Accept(p.stream)
}

func (p *publisher) refuse(peer *netconn.Peer) {
	p.r.report.event("refused", who(peer)+" is not accepted", "peer_id", peer.ID().String(),
		"address", peer.Session().Addr().String())
}

func (p *publisher) Subscribed(peer *netconn.Peer) {
	s := peer.Session()
	p.r.report.event("subscribed", fmt.Sprintf("%s plays %q, %s", who(peer), p.stream.Name(), rttText(s)),
		"peer_id", peer.ID().String(), "address", s.Addr().String(), "name", p.stream.Name(), "rtt_ms", s.RTT())
	p.peers = append(p.peers, peer)
	if !p.played {
		p.played, p.begun = true, p.r.engine.Now()
		close(p.begin)
	}
}

func (p *publisher) Unsubscribed(peer *netconn.Peer, err error) {
	if i := slices.Index(p.peers, peer); i >= 0 && !p.leaving {
		p.peers = slices.Delete(p.peers, i, i+1)
	}
	reason := "the stream ended"
	switch {
	case p.leaving:
	case errors.Is(err, netconn.ErrFarClosed), errors.Is(err, rtmfp.ErrFarClosed):
		reason = "it left"
	default:
		var lost *netconn.ServerLostError
		if errors.As(err, &lost) {
			reason = p.r.lost(lost.Err).Error()
		} else {
			reason = why("it", err).Error()
		}
	}
	p.r.report.event("unsubscribed", fmt.Sprintf("%s plays %q no more: %s", who(peer), p.stream.Name(), reason),
		"peer_id", peer.ID().String(), "name", p.stream.Name(), "reason", reason)
}

func (p *publisher) Writable() {
	select {
	case p.writable <- struct{}{}:
	default:
	}
}

// write sends a message. It returns flow.ErrFull when it has to be tried again
// after writable.
func (p *publisher) write(m netconn.Message) error {
	if p.stopped() {
		return netconn.ErrClosed
	}
	err := p.stream.Write(m)
	var large *flow.TooLargeError
	switch {
	case errors.As(err, &large):
		return fmt.Errorf("a message of %d bytes exceeds the limit of %d (--max-message, here and at who plays)", large.Size, large.Limit)
	case err == nil:
		p.tags++
		p.bytes += uint64(len(m.Payload))
	}
	return err
}

func (p *publisher) writeText(text string) error {
	return p.write(netconn.Message{Type: netconn.TypeData, Payload: amf.Append(nil, amf.String(textHandler), amf.String(text))})
}

// stopped tells that nothing more is to be written.
func (p *publisher) stopped() bool { return p.done || !p.limit.IsZero() }

// Times of the end of a stream.
const (
	drainPoll = 20 * time.Millisecond
	stopGrace = 2 * time.Second  // to deliver what was sent before an interrupt
	leaveTime = 10 * time.Second // for peers to leave after the end
	noLimit   = 24 * time.Hour
)

// ended is called when everything was written, or when err prevented it.
func (p *publisher) ended(err error) {
	switch {
	case p.stopped():
	case err != nil:
		p.complete(err)
	default:
		// As long as peers acknowledge; their sessions end when they do not.
		p.whole = true
		p.drain(noLimit)
	}
}

// stop ends the stream early.
func (p *publisher) stop() {
	switch {
	case p.done:
		p.r.settle()
	case !p.played:
		p.complete(fmt.Errorf("nobody played %q", p.stream.Name()))
	default:
		p.drain(stopGrace)
	}
}

// drain waits until every peer has everything, tells them that it was all, and
// waits until they have left: those that left have taken it.
func (p *publisher) drain(limit time.Duration) {
	first := p.limit.IsZero()
	p.limit = p.r.engine.Now().Add(limit)
	if first {
		p.poll()
	}
}

func (p *publisher) poll() {
	now := p.r.engine.Now()
	late := !now.Before(p.limit)
	switch {
	case p.done || p.r.ending:
		return
	case !p.leaving && (late || p.stream.Buffered() == 0):
		if len(p.peers) == 0 && p.whole {
			p.complete(fmt.Errorf("nobody played %q to its end", p.stream.Name()))
			return
		}
		p.leaving = true
		p.stream.Close()
		if !late {
			p.limit = now.Add(min(p.limit.Sub(now), leaveTime))
		}
	case p.leaving && (late || !slices.ContainsFunc(p.peers, (*netconn.Peer).Open)):
		p.complete(nil)
		return
	}
	p.r.engine.After(drainPoll, p.poll)
}

func (p *publisher) complete(err error) {
	if p.done {
		return
	}
	p.done, p.err = true, err
	p.stream.Close()
	if p.played {
		d := p.r.engine.Now().Sub(p.begun)
		p.r.report.event("published", "published  "+summary(p.tags, p.bytes, d), "tags", p.tags, "bytes", p.bytes, "seconds", d.Seconds())
	}
	if p.skipped > 0 {
		p.r.report.event("skipped", fmt.Sprintf("left out   %s that are neither sound nor pictures nor data", count(p.skipped, "tag")), "tags", p.skipped)
	}
	p.r.settle()
}
