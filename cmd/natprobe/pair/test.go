package pair

import (
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

const (
	echoEvery  = 50 * time.Millisecond
	loadEvery  = 10 * time.Millisecond
	quiet      = time.Second            // of echoes alone, before the load
	straggle   = 500 * time.Millisecond // for the last messages of the load
	lifetime   = 500 * time.Millisecond // of a message that could not be sent: it is lost
	drainEvery = 20 * time.Millisecond
	testSlack  = 15 * time.Second // above the load, for the rest of a test
)

// The first byte of a sound message.
const (
	echoRequest = 0
	echoReply   = 1
)

// The handlers of data messages. Each has one argument, JSON.
const (
	sayHello  = "hello"  // greeting: what is known of the side that speaks
	saySent   = "sent"   // sent: the load is over
	sayResult = "result" // Way: what came in
)

type greeting struct {
	Side    Side           `json:"side"`
	Sees    netip.AddrPort `json:"sees,omitzero"` // the other side
	Took    float64        `json:"tookMs,omitzero"`
	Rate    float64        `json:"bitsPerSecond"`
	Seconds float64        `json:"seconds"`
}

type sent struct {
	Messages  int     `json:"messages"`
	Seconds   float64 `json:"seconds"`
	Fragments float64 `json:"fragmentLoss"` // share of the packets' fragments that were lost
}

// test is a measurement over a session. Sound is echoed, video is the load, data
// are words, each on a flow of its own.
type test struct {
	r     *runner
	out   *netconn.Publication
	epoch time.Time

	greeted, heard bool // hello went out, and came in
	running        bool
	rate           float64
	lasts          time.Duration

	before      flow.Stats
	loadFrom    time.Time
	messages    int
	echoes      echoes // before the load
	loaded      echoes // during the load
	loading     bool
	in          arrivals
	told        bool // our result went out
	have        bool // theirs came in
	complete    bool
	packetBytes []byte
}

func newTest(r *runner) (*test, error) {
	t := &test{r: r, epoch: r.engine.Now(), packetBytes: make([]byte, 0, payload)}
	var err error
	t.out, err = r.conn.Publish(r.stream, netconn.PublishOptions{Lifetime: lifetime}, t)
	return t, err
}

func (t *test) now() time.Duration { return t.r.engine.Now().Sub(t.epoch) }

// over tells that nothing is to be sent any more.
func (t *test) over() bool { return t.r.ending || t.complete }

func (t *test) say(handler string, v any) {
	b, err := json.Marshal(v)
	if err == nil {
		err = t.out.Send(handler, amf.String(b))
	}
	if err != nil {
		t.r.note("could not tell the other side something: " + err.Error())
	}
}

func (t *test) Subscribed(p *netconn.Peer) {
	if t.greeted {
		return
	}
	t.greeted = true
	r := t.r
	t.say(sayHello, greeting{Side: r.report.Here, Sees: p.Session().Addr(), Took: r.report.Took, Rate: r.cfg.Rate, Seconds: r.cfg.Time.Seconds()})
	t.begin()
}

func (t *test) Unsubscribed(*netconn.Peer, error) { t.gone() }
func (t *test) Writable()                         {}

// gone ends a test whose other side left.
func (t *test) gone() {
	if !t.over() {
		t.r.note("the other side left early")
	}
	t.r.finish()
}

// begin begins when both have said hello.
func (t *test) begin() {
	if !t.greeted || !t.heard || t.running {
		return
	}
	t.running = true
	t.r.cfg.Phase("measuring the round trip")
	t.echo()
	t.r.engine.After(quiet, func() {
		t.r.cfg.Phase("sending both ways")
		t.loading, t.loadFrom, t.before = true, t.r.engine.Now(), t.r.engine.FlowStats()
		t.load()
	})
}

func (t *test) echo() {
	if t.over() || t.told {
		return
	}
	t.sound(appendStamp([]byte{echoRequest}, t.now()))
	t.r.engine.After(echoEvery, t.echo)
}

// sound sends a message that may be lost, which the far end notices.
func (t *test) sound(b []byte) {
	_ = t.out.Write(netconn.Message{Type: netconn.TypeAudio, Payload: b})
}

// load paces by the time that has passed: a late tick sends more.
func (t *test) load() {
	if t.over() {
		return
	}
	elapsed := min(t.r.engine.Now().Sub(t.loadFrom), t.lasts)
	for owed := int(elapsed.Seconds() * t.rate / 8 / payload); t.messages < owed; {
		t.messages++
		b := appendStamp(append(t.packetBytes[:0], 0), t.now())
		_ = t.out.Write(netconn.Message{Type: netconn.TypeVideo, Payload: b[:payload]}) // a failure is a loss
	}
	if elapsed < t.lasts {
		t.r.engine.After(loadEvery, t.load)
		return
	}
	t.loading = false
	t.r.engine.After(straggle, func() {
		if t.over() {
			return
		}
		t.say(saySent, sent{Messages: t.messages, Seconds: t.lasts.Seconds(), Fragments: t.fragmentLoss()})
	})
}

// fragmentLoss is what was lost since the load began: of all that this engine
// sent, which was to the other side but for a keepalive or two.
func (t *test) fragmentLoss() float64 {
	now := t.r.engine.FlowStats()
	if fragments := now.FragmentsSent - t.before.FragmentsSent; fragments > 0 {
		return float64(now.FragmentsLost-t.before.FragmentsLost) / float64(fragments)
	}
	return 0
}

// words takes a data message. What does not parse is not of natprobe, or of
// another version of it, and is left.
func (t *test) words(m netconn.Message) {
	values, err := m.Data()
	if err != nil {
		return
	}
	handler, _ := values.String(0)
	text, _ := values.String(1)
	r := t.r
	switch handler {
	case sayHello:
		var g greeting
		if json.Unmarshal([]byte(text), &g) != nil || t.heard {
			return
		}
		t.heard = true
		g.Side.ID = r.report.There.ID
		r.report.There, r.report.Seen = g.Side.cleaned(), g.Sees
		if r.cfg.First && g.Took > 0 && g.Took <= float64(meetWithin.Milliseconds()) {
			r.report.Took = g.Took
		}
		t.rate, t.lasts = r.cfg.Rate, r.cfg.Time
		if g.Rate > 0 {
			t.rate = min(t.rate, g.Rate)
		}
		if d := seconds(g.Seconds, MaxTime); d > 0 {
			t.lasts = min(t.lasts, d)
		}
		r.report.Asked = t.rate
		t.begin()
	case saySent:
		var s sent
		if json.Unmarshal([]byte(text), &s) != nil || t.told {
			return
		}
		t.told = true
		way := t.in.way(min(max(s.Messages, 0), maxMessages), seconds(s.Seconds, MaxTime))
		way.FragmentLoss = share(s.Fragments)
		r.report.In = way
		t.say(sayResult, way)
		t.leave()
	case sayResult:
		var w Way
		if json.Unmarshal([]byte(text), &w) != nil || t.have {
			return
		}
		t.have = true
		w = w.cleaned()
		w.FragmentLoss = t.fragmentLoss()
		r.report.Out = w
		t.leave()
	}
}

// leave ends the test when both know everything.
func (t *test) leave() {
	if !t.told || !t.have || t.complete {
		return
	}
	t.complete = true
	t.r.cfg.Phase("taking leave")
	t.drain()
}

// drain waits until the other side has our result.
func (t *test) drain() {
	if t.out.Buffered() == 0 {
		t.r.finish()
		return
	}
	t.r.engine.After(drainEvery, t.drain)
}

// conclude puts what is known into the report.
func (t *test) conclude() {
	r := &t.r.report
	r.RTT, r.LoadedRTT = t.echoes.rtt(), t.loaded.rtt()
	if !t.told && t.in.received > 0 {
		r.In = t.in.way(0, 0)
		t.r.report.Notes = append(t.r.report.Notes, "how much the other side sent is not known: its losses are not counted")
	}
}

// inbound is the other side's stream.
type inbound struct {
	r  *runner
	id flash.PeerID
}

func (i *inbound) Status(code string, _ amf.Object) {
	r := i.r
	if code != netconn.StatusStreamSuccess || r.far != nil || r.ending {
		return
	}
	for _, p := range r.conn.Peers() {
		if p.ID() == i.id && p.Open() {
			if err := r.met(p); err != nil {
				r.fail(err)
			}
			return
		}
	}
}

func (i *inbound) Message(m netconn.Message) {
	t := i.r.test
	if t == nil || t.over() {
		return
	}
	switch m.Type {
	case netconn.TypeData, netconn.TypeDataExtended:
		t.words(m)
	case netconn.TypeVideo:
		if len(m.Payload) == payload {
			if at, ok := stamp(m.Payload[1:]); ok {
				t.in.add(t.now(), at, payload)
			}
		}
	case netconn.TypeAudio:
		t.heardEcho(m.Payload)
	default:
	}
}

func (t *test) heardEcho(b []byte) {
	if len(b) != 1+stampBytes {
		return
	}
	if b[0] == echoRequest {
		t.sound(append([]byte{echoReply}, b[1:]...))
		return
	}
	if at, ok := stamp(b[1:]); ok {
		e := &t.echoes
		if t.loading {
			e = &t.loaded
		}
		e.add(t.now() - at)
	}
}

func (i *inbound) Closed(err error) {
	r := i.r
	switch {
	case r.ending:
	case errors.Is(err, netconn.ErrRejected): // the session was there already
		r.fail(errors.New("the other side refuses: it has met somebody else with this code"))
	case r.test != nil:
		r.test.gone()
	default:
		r.unmet(i.id)
	}
}
