package demo

import (
	"errors"
	"slices"
	"time"

	"pileus/relay/limit"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// film is a stream that somebody publishes as fast as it goes.
const film = "film"

// DefaultLimit is what the relay lets through of each relayed pair, each way.
const DefaultLimit limit.Rate = 1_000_000

// Limited is what a relayed stream got that wanted more than the relay's limit.
type Limited struct {
	From   string     `json:"from"` // who publishes
	To     string     `json:"to"`
	Limit  limit.Rate `json:"limit_bits_per_second"`
	Rate   int64      `json:"bits_per_second"`         // of IP packets, as the limit counts
	Media  int64      `json:"payload_bits_per_second"` // of these, what the player got of the stream
	Queue  float64    `json:"queue_ms"`                // median of the delays in the relay
	Late   float64    `json:"queue_p99_ms"`
	Marked uint64     `json:"marked"` // packets, with congestion experienced
	Lost   uint64     `json:"lost"`   // packets, by the relay's queue
	OK     bool       `json:"ok"`
}

// share is what a stream is to have of the limit at the least: nearly all, but on a long
// way windows grow for longer than anybody would watch.
func share(delay time.Duration) float64 {
	if delay > 60*time.Millisecond {
		return 0.4
	}
	return 0.85
}

// Times of a stream, and of crossings each: until it has found its pace, and while it
// is measured.
const (
	streamSettles  = 500 * time.Millisecond
	streamMeasured = time.Second
)

// stream plays a relayed peer's film and looks at what the limit makes of it.
func (s *stage) stream(clock *pacer) (Limited, error) {
	from, to, err := s.relayedPair()
	if err != nil {
		return Limited{}, err
	}
	l := Limited{From: from.name, To: to.name, Limit: s.relay.rate}
	shoot, err := newShoot(from)
	if err != nil {
		return l, err
	}
	defer shoot.out.Close()
	see := new(viewer)
	in, err := to.client.Play(from.id(), film, see)
	if err != nil {
		return l, err
	}
	defer in.Close()
	if _, err := clock.wait(clock.within(meetWithin), func() bool { return see.bytes > 0 }); err != nil {
		return l, err
	}
	if _, err := clock.wait(clock.within(streamSettles), nil); err != nil {
		return l, err
	}
	before, seen, began := s.relay.sent(from, to), see.bytes, s.net.Now()
	s.relay.delays = s.relay.delays[:0]
	if _, err := clock.wait(clock.within(streamMeasured), nil); err != nil {
		return l, err
	}
	after, took := s.relay.sent(from, to), s.net.Now().Sub(began).Seconds()
	l.Rate = int64(float64(8*(after.Bytes-before.Bytes)) / took)
	l.Media = int64(float64(8*(see.bytes-seen)) / took)
	l.Marked, l.Lost = after.Marks-before.Marks, after.Dropped()-before.Dropped()
	l.Queue, l.Late = quantile(s.relay.delays, 0.5), quantile(s.relay.delays, 0.99)
	l.OK = float64(l.Rate) >= share(clock.delay)*float64(l.Limit) && l.Rate <= int64(l.Limit)*101/100 && l.Lost == 0 && l.Marked > 0
	return l, nil
}

// limited has a stream meet the relay's limit.
func (s *stage) limited(clock *pacer, a Audience) error {
	l, err := s.stream(clock)
	if err != nil {
		return err
	}
	a.Limited(l)
	return unless(l.OK, "the relay's limit did not work as expected")
}

// relayedPair is two of the cast that can meet by relay only.
func (s *stage) relayedPair() (from, to *person, err error) {
	for i, p := range s.people {
		for _, other := range s.people[i+1:] {
			if expected(p.role, other.role) == Relayed {
				return p, other, nil
			}
		}
	}
	return nil, nil, errors.New("nobody of the cast needs a relay")
}

// quantile is that of durations, in milliseconds.
func quantile(d []time.Duration, q float64) float64 {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return float64(d[int(q*float64(len(d)-1))].Microseconds()) / 1000
}

// shoot publishes a film without end, as fast as it is taken.
type shoot struct{ out *netconn.Publication }

const sceneSize = 4000 // bytes: three or four packets

func newShoot(p *person) (*shoot, error) {
	var s shoot
	var err error
	s.out, err = p.client.Publish(film, netconn.PublishOptions{}, &s)
	return &s, err
}

// Subscribed implements netconn.PublicationHandler.
func (s *shoot) Subscribed(*netconn.Peer) { s.Writable() }

// Unsubscribed implements netconn.PublicationHandler.
func (s *shoot) Unsubscribed(*netconn.Peer, error) {}

// Writable implements netconn.PublicationHandler.
func (s *shoot) Writable() {
	interFrame := make([]byte, sceneSize)
	interFrame[0] = 2<<4 | 2
	for !errors.Is(s.out.Write(netconn.Message{Type: netconn.TypeVideo, Payload: interFrame}), flow.ErrFull) {
		if s.out.Subscribers() == 0 {
			return
		}
	}
}

// viewer counts what it sees, in bytes.
type viewer struct{ bytes uint64 }

// Status implements netconn.StreamHandler.
func (v *viewer) Status(string, amf.Object) {}

// Message implements netconn.StreamHandler.
func (v *viewer) Message(m netconn.Message) { v.bytes += uint64(len(m.Payload)) }

// Closed implements netconn.StreamHandler.
func (v *viewer) Closed(error) {}
