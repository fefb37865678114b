package netconn

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/flow"
)

// PublishOptions say how a stream is sent.
type PublishOptions struct {
	// SingleFlow sends all messages on one flow, so that they arrive in the
	// order in which they were written. Otherwise sound, pictures and data
	// have flows of their own, and sound goes first.
	SingleFlow bool

	// Lifetime makes sound and pictures partially reliable: what could not
	// begin to be sent within it is abandoned, and a subscriber whose queue is
	// full misses messages. Zero makes all of it reliable: Write then refuses
	// until every subscriber has room.
	Lifetime time.Duration
}

// PublicationHandler is told about the subscribers of a Publication.
type PublicationHandler interface {
	Subscribed(p *Peer)
	Unsubscribed(p *Peer, err error)

	// Writable is called once after Write returned flow.ErrFull, when all
	// subscribers have room again.
	Writable()
}

// Publication is a stream that peers may play from this client.
type Publication struct {
	client  *Client
	name    string
	options PublishOptions
	handler PublicationHandler

	subscribers []*subscriber
	header      [3][]byte // the latest messages that later subscribers need first, by lane
	syncID      uint32
	blocked     int // flows that have one message waiting outside
	refused     bool
	closed      bool
}

// The lanes of a stream, each on its own flow unless all share one.
const (
	laneData = iota
	laneAudio
	laneVideo
)

var lanePriority = [...]flow.Priority{laneData: priorityData, laneAudio: priorityAudio, laneVideo: priorityVideo}

// Publish offers a stream under a name that no other has. Peers that ask for it
// reach ClientHandler.OnPlay, which may give it to them.
func (c *Client) Publish(name string, o PublishOptions, h PublicationHandler) (*Publication, error) {
	if c.publications[name] != nil {
		return nil, fmt.Errorf("netconn: %q is being published already", name)
	}
	if len(c.publications) >= maxPublications || c.state >= clientClosing {
		return nil, ErrTooMany
	}
	if c.publications == nil {
		c.publications = make(map[string]*Publication)
	}
	p := &Publication{client: c, name: name, options: o, handler: h}
	c.publications[name] = p
	return p, nil
}

// Publication is the stream published under that name, or nil.
func (c *Client) Publication(name string) *Publication { return c.publications[name] }

// Name is the stream's name.
func (p *Publication) Name() string { return p.name }

// Subscribers is how many peers play the stream.
func (p *Publication) Subscribers() int { return len(p.subscribers) }

// Buffered is how many bytes the slowest subscriber has yet to acknowledge.
func (p *Publication) Buffered() int {
	most := 0
	for _, s := range p.subscribers {
		most = max(most, s.buffered())
	}
	return most
}

// Write sends a message of type audio, video or data to all subscribers. It
// copies the message. The errors are a *flow.TooLargeError and, if the stream is
// reliable, flow.ErrFull: then nobody got it.
func (p *Publication) Write(m Message) error {
	if p.closed {
		return ErrClosed
	}
	lane, err := laneOf(m)
	if err != nil {
		return err
	}
	if p.blocked > 0 {
		p.refused = true
		return flow.ErrFull
	}
	msg := p.build(m)
	p.keepHeader(lane, m, msg)
	for _, s := range slices.Clone(p.subscribers) {
		if err := s.write(lane, msg); err != nil {
			return err
		}
	}
	return nil
}

// Send sends a data message: the name of a handler and its arguments.
func (p *Publication) Send(name string, args ...amf.Value) error {
	payload := amf.Append(amf.Append(nil, amf.String(name)), args...)
	return p.Write(Message{Type: TypeData, Payload: payload})
}

// Close ends the stream: subscribers learn that it is not published any more,
// after all of its messages.
func (p *Publication) Close() {
	if p.closed {
		return
	}
	p.closed = true
	delete(p.client.publications, p.name)
	for _, s := range slices.Clone(p.subscribers) {
		s.unpublish()
	}
}

func (p *Publication) build(m Message) []byte {
	c := p.client
	c.scratch = m.Append(c.scratch[:0])
	return c.scratch
}

var errLane = errors.New("netconn: a stream has audio, video and data messages only")

func laneOf(m Message) (int, error) {
	switch m.Type {
	case TypeAudio:
		return laneAudio, nil
	case TypeVideo:
		return laneVideo, nil
	case TypeData, TypeDataExtended:
		return laneData, nil
	default:
		return 0, errLane
	}
}

// keepHeader keeps msg if later subscribers cannot do without it: metadata, and
// the configurations of codecs that send them once.
func (p *Publication) keepHeader(lane int, m Message, msg []byte) {
	if len(msg) <= maxInit && isHeader(lane, m.Payload) {
		p.header[lane] = slices.Clone(msg)
	}
}

func isHeader(lane int, b []byte) bool {
	switch lane {
	case laneAudio:
		const aac = 10 // SoundFormat of AudioTagHeader
		return len(b) >= 2 && b[0]>>4 == aac && b[1] == 0
	case laneVideo:
		const avc = 7 // CodecID of VideoTagHeader
		if len(b) >= 2 && b[0]&0x80 != 0 {
			return b[0]&0x0f == 0 // Enhanced RTMP: SequenceStart
		}
		return len(b) >= 2 && b[0]&0x0f == avc && b[1] == 0
	default:
		v, _, err := amf.Parse(b)
		return err == nil && v == amf.String("onMetaData")
	}
}

// remove takes out a subscriber. What waited for it waits no more.
func (p *Publication) remove(s *subscriber, err error) {
	i := slices.Index(p.subscribers, s)
	if i < 0 {
		return
	}
	p.subscribers = slices.Delete(p.subscribers, i, i+1)
	for i := range s.lanes {
		if s.lanes[i].waiting != nil {
			s.lanes[i].waiting = nil
			p.unblock()
		}
	}
	p.handler.Unsubscribed(s.peer, err)
}

func (p *Publication) unblock() {
	p.blocked--
	if p.blocked == 0 && p.refused && !p.closed {
		p.refused = false
		p.handler.Writable()
	}
}
