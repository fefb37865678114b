package netconn

import (
	"errors"
	"slices"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
)

// StreamHandler is the application's side of a Subscription.
type StreamHandler interface {
	// Status is told what Flash applications are told of a stream: the events
	// of the publisher, and NetStream.Connect.Success, .Rejected, .Failed and
	// .Closed of this end's own.
	Status(code string, info amf.Object)

	// Message takes sound, pictures and data, by its Type. The payload is valid
	// during the call.
	Message(m Message)

	// Closed is called once, last: with ErrRejected or a *StatusError if the
	// peer did not let us play, with a *ServerLostError if the NetConnection
	// is over, with an error that unwraps to net.ErrClosed if either end
	// closed, else with what went wrong.
	Closed(err error)
}

// Subscription is a stream being played from a peer.
type Subscription struct {
	peer    *Peer
	name    string
	handler StreamHandler

	control  *flow.SendFlow // "the subscriber's control flow"
	flows    []*streamFlow
	barriers barriers[*streamFlow]
	started  bool // the publisher let us
	paused   bool
	closed   bool
}

// Play plays the named stream of a peer, which is connected to the same server.
func (c *Client) Play(id flash.PeerID, name string, h StreamHandler) (*Subscription, error) {
	if c.state != clientConnected {
		return nil, ErrNotConnected
	}
	p, err := c.peer(id)
	if err != nil {
		return nil, err
	}
	if len(p.subscriptions) >= maxSubscriptions {
		return nil, ErrTooMany
	}
	s := &Subscription{peer: p, name: name, handler: h}
	p.subscriptions = append(p.subscriptions, s)
	if p.open {
		s.start()
	}
	return s, nil
}

// Peer is whom the stream is played from.
func (s *Subscription) Peer() *Peer { return s.peer }

// Name is the stream's name.
func (s *Subscription) Name() string { return s.name }

// Started tells whether the publisher let us play.
func (s *Subscription) Started() bool { return s.started }

// Pause stops or resumes delivery. The publisher is stopped when the receive
// buffers are full.
func (s *Subscription) Pause(pause bool) {
	if s.paused == pause {
		return
	}
	s.paused = pause
	for _, f := range slices.Clone(s.flows) {
		f.apply()
	}
}

// Close stops playing.
func (s *Subscription) Close() { s.end(ErrClosed) }

// start sends the play command. The session is open.
func (s *Subscription) start() {
	p := s.peer
	s.handler.Status(StatusStreamSuccess, info(levelStatus, StatusStreamSuccess, "Session with the peer is open."))
	if s.closed {
		return
	}
	p.nextStream++
	var err error
	// Flash counts these streams from 2000001; librtmfp looks for others among those
	// of the server, and refuses the flow.
	s.control, err = p.openFlow(Metadata{StreamID: firstPeerStream + p.nextStream}, flow.SendOptions{
		Priority: priorityControl, Events: (*subscriptionControl)(s),
	})
	if err == nil {
		c := p.client
		c.scratch = Command{Name: "play", Args: amf.Args{amf.String(s.name)}}.Append(c.scratch[:0], TypeCommand)
		err = s.control.Write(c.scratch, flow.WriteOptions{})
	}
	if err != nil {
		s.end(err)
	}
}

// end closes the stream from this end.
func (s *Subscription) end(err error) {
	if s.closed {
		return
	}
	p := s.peer
	if i := slices.Index(p.subscriptions, s); i >= 0 {
		p.subscriptions = slices.Delete(p.subscriptions, i, i+1)
	}
	s.over(err)
	for _, f := range s.flows {
		f.flow.Reject(0)
	}
	s.flows = nil
	if s.control != nil {
		s.control.Close()
	}
	p.settle()
}

// over tells the handler.
func (s *Subscription) over(err error) {
	if s.closed {
		return
	}
	s.closed = true
	code, level := StatusStreamClosed, levelStatus
	switch {
	case s.control == nil:
		code, level = StatusStreamFailed, levelError
	case errors.Is(err, ErrRejected):
		code, level = StatusStreamRejected, levelError
	}
	s.handler.Status(code, info(level, code, err.Error()))
	s.handler.Closed(err)
}

// subscriptionControl is a Subscription as told about its control flow.
type subscriptionControl Subscription

func (o *subscriptionControl) Writable(*flow.SendFlow) {}

// Exception: "The subscriber SHOULD consider the stream closed on notification
// of any exception on the control flow" (RFC 7425 5.4.3).
func (o *subscriptionControl) Exception(*flow.SendFlow, uint64) {
	s := (*Subscription)(o)
	if s.started {
		s.end(ErrFarClosed)
	} else {
		s.end(ErrRejected)
	}
}

// Closed with an error is the end of the session, whose handler may not be set
// yet: see Peer.
func (o *subscriptionControl) Closed(_ *flow.SendFlow, err error) {
	if err != nil {
		(*Subscription)(o).end(err)
	}
	o.peer.sent()
}

// streamFlow is one of the flows of a subscription. It is on hold while it waits
// at a barrier, and while the application pauses.
type streamFlow struct {
	sub     *Subscription
	flow    *flow.RecvFlow
	barrier bool
}

// SetHold is for barriers.
func (f *streamFlow) SetHold(hold bool) {
	f.barrier = hold
	f.apply()
}

func (f *streamFlow) apply() { f.flow.SetHold(f.barrier || f.sub.paused) }

// incoming accepts a return flow.
func (s *Subscription) incoming(f *flow.RecvFlow, m Metadata) (flow.Accept, error) {
	c := s.peer.client
	if len(s.flows) >= maxStreamFlows {
		c.stats.drop(DropLimit)
		return reject()
	}
	r := &streamFlow{sub: s, flow: f}
	s.flows = append(s.flows, r)
	if s.paused {
		f.SetHold(true)
	}
	return flow.Accept{
		Receiver:   r,
		AsReceived: m.NetworkOrder && c.cfg.NetworkOrder,
		Capacity:   mediaCapacity,
	}, nil
}

// Ended is part of flow.Receiver. "The opening and closing of media flows has no
// semantic meaning for the stream" (RFC 7425 5.4.2).
func (f *streamFlow) Ended(*flow.RecvFlow, error) {
	s := f.sub
	if i := slices.Index(s.flows, f); i >= 0 {
		s.flows = slices.Delete(s.flows, i, i+1)
	}
	s.barriers.ended(f, len(s.flows))
}

// Message is part of flow.Receiver.
func (f *streamFlow) Message(_ *flow.RecvFlow, msg []byte) {
	s, c := f.sub, f.sub.peer.client
	c.stats.Messages++
	m, err := ParseMessage(msg)
	if err != nil {
		c.stats.drop(DropTruncated)
		return
	}
	switch m.Type {
	case TypeAudio, TypeVideo, TypeData, TypeDataExtended:
		s.started = true
		s.handler.Message(m)
	case TypeUserControl:
		f.event(m)
	case TypeCommand, TypeCommandExtended:
		if cmd, ok := c.parse(m); ok {
			s.command(cmd)
		}
	default:
		c.stats.drop(DropType)
	}
}

func (f *streamFlow) event(m Message) {
	s, stats := f.sub, &f.sub.peer.client.stats
	e, data, err := ParseEvent(m)
	if err != nil {
		stats.drop(DropTruncated)
		return
	}
	switch e {
	case EventStreamBegin:
		s.started = true
	case EventStreamEOF:
	case EventFlowSync:
		id, count, err := parseFlowSync(data)
		if err != nil || !s.barriers.sync(f, id, count) {
			stats.drop(DropSync)
		}
	default:
		stats.drop(DropEvent)
	}
}

func (s *Subscription) command(cmd Command) {
	if cmd.Name != "onStatus" {
		s.peer.client.stats.drop(DropCommand)
		return
	}
	o, _ := cmd.Given().Object(0)
	code, level := o.String("code"), o.String("level")
	if code == "" { // it says nothing
		s.peer.client.stats.drop(DropCommand)
		return
	}
	s.handler.Status(code, o)
	failed := level == levelError || level == "" && (code == StatusPlayNotFound || code == StatusPlayFailed)
	switch {
	case s.closed || code == StatusPlayAsked:
	case !s.started && failed:
		s.end(statusError(cmd))
	default:
		s.started = true
	}
}
