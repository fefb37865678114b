package netconn

import (
	"errors"
	"slices"

	"pileus/rtmfp/flow"
)

// PlayRequest is a peer's wish to play a stream. Accept, NotFound or Reject
// answers it.
type PlayRequest struct {
	Peer *Peer
	Name string

	sub *subscriber
}

// Accept gives the peer the stream p.
func (r *PlayRequest) Accept(p *Publication) {
	if r.sub.state == subscriberAsking && !p.closed && !r.Peer.closing {
		r.sub.start(p)
	}
}

// Asked tells the peer that somebody is asked first, and that the answer may take long.
func (r *PlayRequest) Asked() {
	if r.sub.state != subscriberAsking || r.Peer.closing {
		return
	}
	if err := r.sub.openLane(laneData); err != nil {
		r.sub.close(err)
		return
	}
	r.sub.status(levelStatus, StatusPlayAsked, "Somebody is asked whether this may be played.")
}

// NotFound tells the peer that there is no such stream.
func (r *PlayRequest) NotFound() {
	if r.sub.state == subscriberAsking {
		r.sub.refuse(StatusPlayNotFound, "No stream of that name is published here.")
	}
}

// Reject refuses the stream without a reason.
func (r *PlayRequest) Reject() {
	if r.sub.state == subscriberAsking {
		r.sub.close(ErrRejected)
	}
}

type subscriberState uint8

const (
	subscriberIdle    subscriberState = iota // nothing is played
	subscriberAsking                         // a PlayRequest is open
	subscriberPlaying                        // has a publication
	subscriberOver
)

// subscriber is a peer's control flow for one stream that it plays from here,
// and the flows that bring it (RFC 7425 5.4.2).
type subscriber struct {
	peer     *Peer
	streamID uint32
	in       *flow.RecvFlow // the subscriber's control flow
	pub      *Publication
	lanes    [3]lane
	state    subscriberState
	leaving  bool // unpublish was called
}

// lane is a flow with some of a stream's messages.
type lane struct {
	sub  *subscriber
	flow *flow.SendFlow // nil: not open, or rejected by the peer

	// waiting is a message that found no room. The publication takes no more
	// until it is gone.
	waiting []byte
}

// Message is part of flow.Receiver.
func (s *subscriber) Message(_ *flow.RecvFlow, msg []byte) {
	c := s.peer.client
	c.stats.Messages++
	m, err := ParseMessage(msg)
	if err != nil {
		c.stats.drop(DropTruncated)
		return
	}
	if m.Type != TypeCommand && m.Type != TypeCommandExtended {
		c.stats.drop(DropType)
		return
	}
	cmd, ok := c.parse(m)
	if !ok {
		return
	}
	switch name, _ := cmd.Given().String(0); {
	case cmd.Name == "play" && s.state == subscriberIdle:
		s.play(name)
	case cmd.Name == "closeStream" || cmd.Name == "deleteStream":
		s.stop(ErrFarClosed)
	default:
		c.stats.drop(DropCommand)
	}
}

// Ended is part of flow.Receiver: "The publisher SHOULD close and unpublish to
// the subscriber on receipt of a close/complete of the control flow" (RFC 7425
// 5.4.3).
func (s *subscriber) Ended(_ *flow.RecvFlow, err error) {
	if err == nil {
		err = ErrFarClosed
	}
	s.over(err)
}

func (s *subscriber) play(name string) {
	h := s.peer.client.handler
	if s.peer.closing {
		return
	}
	if !h.OnPeerConnect(s.peer) {
		s.close(ErrRejected)
		return
	}
	if s.state == subscriberIdle {
		s.state = subscriberAsking
		h.OnPlay(&PlayRequest{Peer: s.peer, Name: name, sub: s})
	}
}

// start sends the stream: its beginning on the flow of data, then, behind a
// barrier across all flows, what the messages of each need first.
func (s *subscriber) start(p *Publication) {
	if err := s.openLanes(p); err != nil {
		s.close(err)
		return
	}
	s.state, s.pub = subscriberPlaying, p
	p.subscribers = append(p.subscribers, s)
	c := s.peer.client
	c.scratch = AppendStreamBegin(c.scratch[:0], s.streamID)
	s.control(c.scratch)
	s.status(levelStatus, StatusPlayStart, "Started playing "+p.name+".")
	s.sync()
	for i, header := range p.header {
		if header != nil {
			_ = s.write(i, header) // the queues are empty, and it fitted before
		}
	}
	p.handler.Subscribed(s.peer)
}

func (s *subscriber) openLanes(p *Publication) error {
	last := laneVideo
	if p.options.SingleFlow {
		last = laneData
	}
	for i := laneData; i <= last; i++ {
		if err := s.openLane(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *subscriber) openLane(i int) error {
	l := &s.lanes[i]
	if l.sub = s; l.flow != nil {
		return nil
	}
	var err error
	l.flow, err = s.peer.openFlow(Metadata{StreamID: s.streamID}, flow.SendOptions{
		Priority: lanePriority[i], ReturnOf: s.in, Events: l,
	})
	return err
}

// control sends a message on the flow of data.
func (s *subscriber) control(msg []byte) {
	if f := s.lanes[laneData].flow; f == nil || f.Write(msg, flow.WriteOptions{}) != nil {
		s.peer.client.stats.drop(DropSend)
	}
}

func (s *subscriber) status(level, code, description string) {
	c := s.peer.client
	c.scratch = onStatus(info(level, code, description)).Append(c.scratch[:0], TypeCommand)
	s.control(c.scratch)
}

// sync makes a barrier across all flows (RFC 7425 5.2), if there are several.
func (s *subscriber) sync() {
	var flows []*flow.SendFlow
	for i := range s.lanes {
		if f := s.lanes[i].flow; f != nil {
			flows = append(flows, f)
		}
	}
	if len(flows) < 2 {
		return
	}
	p := s.pub
	msg := AppendFlowSync(nil, p.syncID, uint32(len(flows)))
	p.syncID++
	for _, f := range flows {
		if f.Write(msg, flow.WriteOptions{}) != nil {
			s.peer.client.stats.drop(DropSend)
		}
	}
}

// write sends a message of the stream. The only error is a *flow.TooLargeError.
func (s *subscriber) write(i int, msg []byte) error {
	o := flow.WriteOptions{}
	if i != laneData {
		o.StartBy = s.pub.options.Lifetime
	}
	if s.pub.options.SingleFlow {
		i = laneData
	}
	l := &s.lanes[i]
	if l.flow == nil || s.leaving {
		return nil
	}
	err := l.flow.Write(msg, o)
	switch {
	case errors.Is(err, flow.ErrTooLarge):
		return err
	case !errors.Is(err, flow.ErrFull): // sent, or on its way to the end
	case s.pub.options.Lifetime > 0:
		s.peer.client.stats.drop(DropSend)
	default:
		l.waiting = slices.Clone(msg)
		s.pub.blocked++
	}
	return nil
}

func (s *subscriber) buffered() int {
	n := 0
	for i := range s.lanes {
		if f := s.lanes[i].flow; f != nil {
			n += f.Buffered() + len(s.lanes[i].waiting)
		}
	}
	return n
}

// refuse answers a play that cannot be.
func (s *subscriber) refuse(code, description string) {
	s.state = subscriberIdle
	if err := s.openLane(laneData); err != nil {
		s.close(err)
		return
	}
	s.status(levelError, code, description)
	s.stop(ErrClosed)
}

// unpublish ends the stream after all of its messages, in order across all
// flows.
func (s *subscriber) unpublish() {
	if s.state != subscriberPlaying {
		return
	}
	s.leaving = true
	for i := range s.lanes {
		if s.lanes[i].waiting != nil {
			return // until there is room
		}
	}
	s.sync()
	s.status(levelStatus, StatusUnpublishNotify, s.pub.name+" is not published any more.")
	s.stop(ErrClosed)
}

// stop closes the flows of the stream. The control flow stays: the peer may
// play again.
func (s *subscriber) stop(err error) {
	for i := range s.lanes {
		if f := s.lanes[i].flow; f != nil {
			s.lanes[i].flow = nil
			f.Close()
		}
	}
	if s.state == subscriberOver {
		return
	}
	s.state, s.leaving = subscriberIdle, false
	if p := s.pub; p != nil {
		s.pub = nil
		p.remove(s, err)
	}
}

// close ends the stream from this end, by rejecting the control flow.
func (s *subscriber) close(err error) {
	s.in.Reject(0)
	s.over(err)
}

// over ends all of it. The control flow is over.
func (s *subscriber) over(err error) {
	if s.state == subscriberOver {
		return
	}
	p := s.peer
	if i := slices.Index(p.subscribers, s); i >= 0 {
		p.subscribers = slices.Delete(p.subscribers, i, i+1)
	}
	s.stop(err)
	s.state = subscriberOver
	p.settle()
}

// Writable is part of flow.SendEvents.
func (l *lane) Writable(f *flow.SendFlow) {
	if l.waiting != nil && l.flow == f {
		_ = f.Write(l.waiting, flow.WriteOptions{}) // half of the queue is free
		l.resume()
	}
}

// Exception is part of flow.SendEvents. "The sending end, on notification of any
// exception for a stream flow, SHOULD NOT open a new flow to take the rejected
// flow's place" (RFC 7425 5.3.5.3).
func (l *lane) Exception(f *flow.SendFlow, _ uint64) {
	if l.flow != f {
		return
	}
	l.flow = nil
	if l.waiting != nil {
		l.resume()
	}
}

// resume goes on after a message waited.
func (l *lane) resume() {
	s := l.sub
	l.waiting = nil
	s.pub.unblock()
	if s.leaving {
		s.unpublish()
	}
}

// Closed is part of flow.SendEvents.
func (l *lane) Closed(*flow.SendFlow, error) { l.sub.peer.sent() }
