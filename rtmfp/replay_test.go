package rtmfp_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

// Every recorded session is played against an engine, once in each role. The
// test is the far end: it makes the handshake with the recorded certificate and
// keys, then sends the recorded packets at their recorded times, sealed under
// the session keys that this engine negotiated. (The recorded datagrams
// themselves are opened and sealed, byte for byte, by the tests of package flash.)

var (
	nearAddr = netip.MustParseAddrPort("192.0.2.1:1935")
	farAddr  = netip.MustParseAddrPort("198.51.100.1:5000")
)

func TestReplayAsResponder(t *testing.T) { replayAll(t, (*replay).respond, "i2r") }
func TestReplayAsInitiator(t *testing.T) { replayAll(t, (*replay).initiate, "r2i") }

func replayAll(t *testing.T, open func(*replay), dir string) {
	sessions := 0
	for _, x := range vectors.Exchanges(t) {
		for i := range x.Sessions {
			s := &x.Sessions[i]
			sessions++
			t.Run(fmt.Sprintf("%s/%s", x.Scenario, s.ID), func(t *testing.T) {
				r := &replay{t: t, x: x, s: s, dir: dir, now: time.Unix(1_700_000_000, 0), flows: make(map[uint64]*replayFlow)}
				open(r)
				r.play()
				r.judge()
			})
		}
	}
	if sessions == 0 {
		t.Fatal("no recorded session")
	}
}

type replay struct {
	t   *testing.T
	x   *vectors.Exchange
	s   *vectors.Session
	dir string
	now time.Time

	engine  *rtmfp.Engine
	session *rtmfp.Session
	sent    [][]byte // by the engine, not looked at yet
	keys    *flash.SessionKeys
	nearID  wire.SessionID
	acked   map[uint64]uint64 // cumulative, by recorded flow
	flows   map[uint64]*replayFlow
	closed  error
}

type replayFlow struct {
	metadata []byte
	messages []string // SHA-256
	ended    bool
}

// identity is a recorded endpoint's, with its private keys if static.
func (r *replay) identity(name string) *flash.Identity {
	r.t.Helper()
	p := r.x.Endpoints[name]
	o := flash.IdentityOptions{Certificate: p.Certificate}
	c, err := flash.ParseCertificate(p.Certificate)
	if err != nil {
		r.t.Fatal(err)
	}
	if c.HasStaticKey() {
		for _, k := range p.DHKeyPairs {
			key, err := flash.RestoreKey(flash.Group(k.Group), k.Private)
			if err != nil {
				r.t.Fatal(err)
			}
			if bytes.Equal(bytes.TrimLeft(c.StaticKey(key.Group()), "\x00"), key.Public()) {
				o.Keys = append(o.Keys, key)
			}
		}
	}
	id, err := flash.NewIdentity(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// policies of both ends lead to what was recorded.
func (r *replay) policy(hmac int, sseq bool) flash.Policy {
	p := flash.Policy{HMAC: flash.Never, SSEQ: flash.Never, HMACLength: hmac}
	if hmac > 0 {
		p.HMAC = flash.Require
	}
	if sseq {
		p.SSEQ = flash.Require
	}
	return p
}

func (r *replay) start(name string, p flash.Policy) {
	e, err := rtmfp.NewEngine(rtmfp.Config{
		Identity: r.identity(name), Policy: p, Handler: r, Introductions: rtmfp.AnswerIntroductions,
		HandshakeRate: -1, KeyPool: -1,
	}, r.now)
	if err != nil {
		r.t.Fatal(err)
	}
	r.engine = e
}

// settle runs the engine's jobs and collects what it sends.
func (r *replay) settle() {
	for {
		r.engine.Flush(func(out []rtmfp.Datagram) {
			for _, d := range out {
				r.sent = append(r.sent, bytes.Clone(d.Data))
			}
		})
		jobs := r.engine.TakeJobs()
		if len(jobs) == 0 {
			return
		}
		for _, j := range jobs {
			j.Run()
			r.engine.Finish(r.now, j)
		}
	}
}

func (r *replay) feed(datagram []byte, tos uint8) {
	r.engine.Receive(r.now, rtmfp.Datagram{Local: nearAddr, Peer: farAddr, TOS: tos, Data: datagram})
	r.settle()
}

// startup sends the engine a startup chunk.
func (r *replay) startup(id wire.SessionID, c interface{ Append([]byte) []byte }) {
	sealer, _ := flash.NewStartup()
	b := wire.Header{Mode: wire.ModeStartup, HasTimestamp: true, Timestamp: 7}.Append(sealer.Begin(nil))
	r.feed(sealer.Finish(c.Append(b), id), 0)
}

// answer is the first startup chunk that the engine has sent since.
func (r *replay) answer(want wire.ChunkType) []byte {
	r.t.Helper()
	_, opener := flash.NewStartup()
	for i, d := range r.sent {
		packet, err := opener.Open(make([]byte, len(d)), d)
		if err != nil {
			continue
		}
		_, b, err := wire.ParseHeader(packet)
		if err != nil {
			r.t.Fatal(err)
		}
		typ, body, _, _ := wire.NextChunk(b)
		if typ != want {
			r.t.Fatalf("engine sent %v, want %v", typ, want)
		}
		r.sent = r.sent[i+1:]
		return body
	}
	r.t.Fatalf("engine sent no %v", want)
	return nil
}

// recorded is the first recorded chunk of that name with the default key.
func (r *replay) recorded(name, from string) *vectors.Chunk {
	for i := range r.x.Datagrams {
		d := &r.x.Datagrams[i]
		if d.From != from {
			continue
		}
		for j := range d.Packet.Chunks {
			if c := &d.Packet.Chunks[j]; c.Name == name {
				return c
			}
		}
	}
	return nil
}

// respond has the engine play the recorded responder.
func (r *replay) respond() {
	r.start(r.s.Responder, r.policy(r.s.HMACLenR2I, r.s.SSEQR2I))
	id := r.identity(r.s.Initiator)
	epd := r.engine.Identity().Certificate().EPD().Append(nil)
	if c := r.recorded("IHello", r.s.Initiator); c != nil {
		if e, err := flash.ParseEPD(c.EPD); err == nil && r.engine.Identity().Certificate().SelectedBy(e) {
			epd = c.EPD // glare and introductions begin otherwise
		}
	}
	tag := []byte("recorded tag 16b")
	r.startup(wire.SessionID{}, wire.IHello{EPD: epd, Tag: tag})
	hello, err := wire.ParseRHello(r.answer(wire.ChunkRHello))
	if err != nil || !bytes.Equal(hello.Tag, tag) || len(hello.Cookie) != 64 {
		r.t.Fatalf("RHello %x: %v", hello, err)
	}
	if !bytes.Equal(hello.Certificate, r.x.Endpoints[r.s.Responder].Certificate) {
		r.t.Fatal("RHello has another certificate")
	}
	k, err := id.BeginKeying(r.engine.Identity().Certificate(), r.policy(r.s.HMACLenI2R, r.s.SSEQI2R), flash.NewKeyPool(0))
	if err != nil {
		r.t.Fatal(err)
	}
	farID := wire.SessionID(r.s.InitiatorSessionID)
	r.startup(wire.SessionID{}, wire.IIKeying{
		SessionID: farID, Cookie: hello.Cookie, Certificate: id.Certificate().Raw(), Component: k.Component(), Signature: []byte("X"),
	})
	keying, err := wire.ParseRIKeying(r.answer(wire.ChunkRIKeying))
	if err != nil || string(keying.Signature) != "X" {
		r.t.Fatalf("RIKeying %x: %v", keying, err)
	}
	if r.keys, err = k.Finish(keying.Component); err != nil {
		r.t.Fatal(err)
	}
	r.nearID = keying.SessionID
}

// initiate has the engine play the recorded initiator.
func (r *replay) initiate() {
	r.start(r.s.Initiator, r.policy(r.s.HMACLenI2R, r.s.SSEQI2R))
	id := r.identity(r.s.Responder)
	epd := id.Certificate().EPD()
	if c := r.recorded("IHello", r.s.Initiator); c != nil {
		if e, err := flash.ParseEPD(c.EPD); err == nil && id.Certificate().SelectedBy(e) {
			epd = e
		}
	}
	if _, err := r.engine.Open(rtmfp.Target{EPD: epd, Addrs: []netip.AddrPort{farAddr}, Local: nearAddr}, r); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	hello, err := wire.ParseIHello(r.answer(wire.ChunkIHello))
	if err != nil || !bytes.Equal(hello.EPD, epd.Append(nil)) || len(hello.Tag) != 16 {
		r.t.Fatalf("IHello %x: %v", hello, err)
	}
	cookie := []byte("any cookie of any length")
	if c := r.recorded("RHello", r.s.Responder); c != nil {
		cookie = c.Cookie
	}
	tag := bytes.Clone(hello.Tag)
	r.startup(wire.SessionID{}, wire.RHello{Tag: tag, Cookie: cookie, Certificate: id.Certificate().Raw()})
	keying, err := wire.ParseIIKeying(r.answer(wire.ChunkIIKeying))
	if err != nil || !bytes.Equal(keying.Cookie, cookie) || string(keying.Signature) != "X" {
		r.t.Fatalf("IIKeying %x: %v", keying, err)
	}
	if !bytes.Equal(keying.Certificate, r.x.Endpoints[r.s.Initiator].Certificate) {
		r.t.Fatal("IIKeying has another certificate")
	}
	if c := r.recorded("RHelloCookieChange", r.s.Responder); c != nil {
		r.startup(keying.SessionID, wire.CookieChange{OldCookie: cookie, NewCookie: c.NewCookie})
		again, err := wire.ParseIIKeying(r.answer(wire.ChunkIIKeying))
		// "The same session ID, SKIC and certificate" (NOTES 25).
		if err != nil || !bytes.Equal(again.Cookie, c.NewCookie) || again.SessionID != keying.SessionID ||
			!bytes.Equal(again.Component, keying.Component) || !bytes.Equal(again.Certificate, keying.Certificate) {
			r.t.Fatalf("IIKeying after Cookie Change: %x: %v", again, err)
		}
	}
	far, err := flash.ParseCertificate(bytes.Clone(keying.Certificate))
	if err != nil {
		r.t.Fatal(err)
	}
	component, keys, err := id.AnswerKeying(far, bytes.Clone(keying.Component), r.policy(r.s.HMACLenR2I, r.s.SSEQR2I), flash.NewKeyPool(0))
	if err != nil {
		r.t.Fatal(err)
	}
	r.keys, r.nearID = keys, keying.SessionID
	// A responder may send at once: what arrives before the RIKeying waits for it
	// (NOTES 6).
	early := wire.Header{Mode: wire.ModeResponder}.Append(r.keys.Sealer.Begin(nil))
	r.feed(r.keys.Sealer.Finish(wire.Ping{Message: []byte("early")}.Append(early), r.nearID), 0)
	r.startup(keying.SessionID, wire.RIKeying{
		SessionID: wire.SessionID(r.s.ResponderSessionID), Component: component, Signature: []byte("X"),
	})
	if r.session == nil || !r.session.Open() {
		r.t.Fatal("session did not open")
	}
	r.expectPingReply("early")
}

// expectPingReply takes what the engine has sent, to find one reply.
func (r *replay) expectPingReply(message string) {
	r.t.Helper()
	for _, d := range r.sent {
		packet, err := r.keys.Opener.Open(make([]byte, len(d)), d)
		if err != nil {
			continue
		}
		_, b, _ := wire.ParseHeader(packet)
		typ, body, _, _ := wire.NextChunk(b)
		if c, err := wire.ParsePingReply(body); typ == wire.ChunkPingReply && err == nil && string(c.Message) == message {
			r.sent = nil
			return
		}
	}
	r.t.Fatalf("no reply to the ping %q", message)
}

// play sends the recorded packets as they were received.
func (r *replay) play() {
	type event struct {
		at       int64
		n        int
		datagram *vectors.Datagram
	}
	near := r.s.Responder
	if r.dir == "r2i" {
		near = r.s.Initiator
	}
	var events []event
	for i := range r.x.Datagrams {
		d := &r.x.Datagrams[i]
		if d.Key != r.s.ID || d.Dir != r.dir {
			continue
		}
		for _, rx := range d.Rx {
			if rx.Who == near && (rx.Accepted || rx.AcceptedOnReplay) {
				events = append(events, event{rx.TimeUS, d.N, d})
			}
		}
	}
	sort.SliceStable(events, func(i, j int) bool { return events[i].at < events[j].at })
	if len(events) == 0 {
		return // a one-way session
	}
	if r.session == nil { // a responder's handler is asked when the first packet proves the initiator
		b := wire.Header{Mode: wire.ModeInitiator}.Append(r.keys.Sealer.Begin(nil))
		r.feed(r.keys.Sealer.Finish(wire.Ping{}.Append(b), r.nearID), 0)
	}
	r.openNearFlows()
	start, began := events[0].at, r.now
	sealed := make(map[int][]byte)
	for _, ev := range events {
		r.until(began.Add(time.Duration(ev.at-start) * time.Microsecond))
		again := sealed[ev.n]
		if again == nil {
			b := append(r.keys.Sealer.Begin(nil), ev.datagram.Plaintext[ev.datagram.PacketOff:ev.datagram.Packet.PaddingOff]...)
			again = r.keys.Sealer.Finish(b, r.nearID)
			sealed[ev.n] = again
			if len(ev.datagram.CorruptedHex) > 0 {
				bad := bytes.Clone(again)
				bad[len(bad)/2] ^= 0x10
				r.feed(bad, 0)
			}
		}
		r.feed(bytes.Clone(again), ev.datagram.TOS)
	}
	r.until(r.now.Add(time.Second))
}

// openNearFlows opens the flows that the recorded flows may be answers to, under
// their recorded IDs.
func (r *replay) openNearFlows() {
	last := uint64(1)
	for _, f := range r.x.Flows {
		if f.Session == r.s.ID && f.Dir != r.dir {
			last = max(last, f.Flow)
		}
	}
	for id := uint64(2); id <= last; id++ {
		if _, err := r.session.OpenFlow([]byte("near"), flow.SendOptions{}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *replay) until(at time.Time) {
	for d := r.engine.Deadline(); !d.IsZero() && !d.After(at); d = r.engine.Deadline() {
		if d.After(r.now) {
			r.now = d
		}
		r.engine.Advance(r.now)
		r.settle()
	}
	r.now = at
}

// judge compares what the engine's receivers got, and acknowledged, with what
// was recorded.
func (r *replay) judge() {
	r.readAcks()
	for _, f := range r.x.Flows {
		if f.Session != r.s.ID || f.Dir != r.dir {
			continue
		}
		var want []string
		last := uint64(0)
		for _, m := range f.Messages {
			if m.Abandoned || m.SHA256 == nil || !r.delivered(m) {
				continue
			}
			last = m.Seq[1]
			want = append(want, hex.EncodeToString(m.SHA256))
		}
		got := r.flows[f.Flow]
		if got == nil {
			// An answer to a flow that its receiver had rejected is acknowledged
			// and thrown away.
			if len(want) > 0 && (r.recorded("FlowException", f.Sender) == nil || r.acked[f.Flow] < last) {
				r.t.Errorf("flow %d never came", f.Flow)
			}
			continue
		}
		if !bytes.Equal(got.metadata, f.Metadata) {
			r.t.Errorf("flow %d: metadata %x, want %x", f.Flow, got.metadata, []byte(f.Metadata))
		}
		if !slices.Equal(got.messages, want) {
			r.t.Errorf("flow %d: %d messages, want %d, or others", f.Flow, len(got.messages), len(want))
		}
		if r.closed == nil && r.acked[f.Flow] < last {
			r.t.Errorf("flow %d: acknowledged up to %d, want %d", f.Flow, r.acked[f.Flow], last)
		}
	}
	for reason, n := range r.engine.Stats().Drops {
		switch reason := rtmfp.DropReason(reason); {
		case n == 0:
		case reason == rtmfp.DropHMAC, reason == rtmfp.DropChecksum, reason == rtmfp.DropReplay: // by intent
		case reason == rtmfp.DropUnknownSession && r.closed != nil: // after the close
		default:
			r.t.Errorf("%d packets dropped: %v", n, reason)
		}
	}
}

// delivered reports whether all of a message was recorded as received.
func (r *replay) delivered(m vectors.Message) bool {
	have := make(map[uint64]bool)
	for i := range r.x.Datagrams {
		d := &r.x.Datagrams[i]
		if d.Key != r.s.ID || d.Dir != r.dir || !slices.ContainsFunc(d.Rx, func(rx vectors.Rx) bool { return rx.Accepted || rx.AcceptedOnReplay }) {
			continue
		}
		for _, c := range d.Packet.Chunks {
			if !c.Abn && (c.Name == "UserData" || c.Name == "NextUserData") {
				have[c.Seq] = true
			}
		}
	}
	for s := m.Seq[0]; s <= m.Seq[1]; s++ {
		if !have[s] {
			return false
		}
	}
	return true
}

func (r *replay) readAcks() {
	r.acked = make(map[uint64]uint64)
	for _, d := range r.sent {
		packet, err := r.keys.Opener.Open(make([]byte, len(d)), d)
		if err != nil {
			continue // a startup packet
		}
		_, b, err := wire.ParseHeader(packet)
		if err != nil {
			r.t.Fatal(err)
		}
		for {
			typ, body, rest, ok := wire.NextChunk(b)
			if !ok {
				break
			}
			b = rest
			switch typ {
			case wire.ChunkAckRanges:
				a, err := wire.ParseAckRanges(body)
				if err != nil {
					r.t.Fatal(err)
				}
				r.acked[a.Flow] = max(r.acked[a.Flow], a.CumAck)
			case wire.ChunkAckBitmap:
				a, err := wire.ParseAckBitmap(body)
				if err != nil {
					r.t.Fatal(err)
				}
				r.acked[a.Flow] = max(r.acked[a.Flow], a.CumAck)
			default:
			}
		}
	}
}

func (r *replay) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (r *replay) Accept(*rtmfp.Session) rtmfp.SessionHandler { return r }
func (r *replay) Opened(s *rtmfp.Session)                    { r.session = s }
func (r *replay) Moved(*rtmfp.Session)                       {}
func (r *replay) Closed(_ *rtmfp.Session, err error)         { r.closed = err }
func (r *replay) Incoming(_ *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	r.flows[f.ID()] = &replayFlow{metadata: bytes.Clone(f.Metadata())}
	return flow.Accept{Receiver: r}, nil
}

func (r *replay) Message(f *flow.RecvFlow, m []byte) {
	h := sha256.Sum256(m)
	r.flows[f.ID()].messages = append(r.flows[f.ID()].messages, hex.EncodeToString(h[:]))
}

func (r *replay) Ended(f *flow.RecvFlow, _ error) { r.flows[f.ID()].ended = true }
