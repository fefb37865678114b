package rtmfp_test

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

// stranger is an address that speaks only startup packets to one engine.
type stranger struct {
	t      *testing.T
	engine *rtmfp.Engine
	now    time.Time
	addr   netip.AddrPort
	sealer *flash.Sealer
	opener *flash.Opener
}

func newStranger(t *testing.T, h rtmfp.Handler) *stranger {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	e, err := rtmfp.NewEngine(rtmfp.Config{Identity: serverIdentity(t), Handler: h, KeyPool: -1}, now)
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{t: t, engine: e, now: now, addr: netip.MustParseAddrPort("198.51.100.1:5000")}
	s.sealer, s.opener = flash.NewStartup()
	return s
}

// packet is a startup datagram with these chunks.
func (s *stranger) packet(chunks ...interface{ Append([]byte) []byte }) []byte {
	b := wire.Header{Mode: wire.ModeStartup}.Append(s.sealer.Begin(nil))
	for _, c := range chunks {
		b = c.Append(b)
	}
	return s.sealer.Finish(b, wire.SessionID{})
}

// send returns the answers.
func (s *stranger) send(datagram []byte) (out []rtmfp.Datagram) {
	s.engine.Receive(s.now, rtmfp.Datagram{Local: nearAddr, Peer: s.addr, Data: datagram})
	for {
		s.engine.Flush(func(d []rtmfp.Datagram) {
			for _, c := range d {
				c.Data = bytes.Clone(c.Data)
				out = append(out, c)
			}
		})
		jobs := s.engine.TakeJobs()
		if len(jobs) == 0 {
			return out
		}
		for _, j := range jobs {
			j.Run()
			s.engine.Finish(s.now, j)
		}
	}
}

func hello(uri string, tag int) wire.IHello {
	return wire.IHello{EPD: flash.EPD{HasAncillary: true, Ancillary: []byte(uri)}.Append(nil), Tag: bytes.Repeat([]byte{7}, tag)}
}

type nobody struct{}

func (nobody) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (nobody) Accept(*rtmfp.Session) rtmfp.SessionHandler { return nil }

// The answer to a Flash-size IHello is at most 2.65 times as large.
func TestAmplification(t *testing.T) {
	s := newStranger(t, nobody{})
	in := s.packet(hello("rtmfp://host.example/app", 16))
	for i := range 1000 {
		out := s.send(in)
		if len(out) != 1 {
			t.Fatalf("%d answers to IHello %d of %d bytes", len(out), i, len(in))
		}
		if ratio := float64(len(out[0].Data)) / float64(len(in)); ratio > 2.65 {
			t.Fatalf("%d bytes for %d: %.2f times", len(out[0].Data), len(in), ratio)
		}
	}
}

// However short IHellos are, what they bring is three times their bytes at most, as
// packets on the network, over many of one prefix. Where one brings no more than that,
// all are answered: a URI may be short.
func TestShortHellosAreRationed(t *testing.T) {
	s := newStranger(t, nobody{})
	var in []byte
	for tag := range 40 {
		in = s.packet(hello("x", tag))
		s.now = s.now.Add(time.Minute)
		const headers = 20 + 8
		received, sent, answers, large := 0, 0, 0, false
		for i := range 10_000 {
			s.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 5000)
			s.now = s.now.Add(time.Millisecond)
			received += len(in) + headers
			for _, d := range s.send(in) {
				sent += len(d.Data) + headers
				large = len(d.Data)+headers > 3*(len(in)+headers)
				answers++
			}
		}
		if sent == 0 || sent > 3*received || answers == 10_000 == large {
			t.Errorf("%d bytes for %d, %d answers to IHellos of %d bytes", sent, received, answers, len(in))
		}
	}
	in = s.packet(hello("x", 0))
	// Another prefix is not affected.
	s.addr = netip.MustParseAddrPort("203.0.113.1:5000")
	if len(s.send(in)) != 1 {
		t.Error("another prefix got no answer")
	}
}

// One packet brings one answer, whatever it is filled with.
func TestManyHellosInOnePacket(t *testing.T) {
	s := newStranger(t, nobody{})
	h := hello("x", 1)
	if out := s.send(s.packet(h, h, h, h, h, h, h, h)); len(out) != 1 {
		t.Errorf("%d answers", len(out))
	}
}

func TestEveryTagLengthIsAnswered(t *testing.T) {
	s := newStranger(t, nobody{})
	for n := range 100 {
		s.now = s.now.Add(time.Second)
		out := s.send(s.packet(hello("live", n)))
		if len(out) != 1 {
			t.Fatalf("no answer to a tag of %d bytes", n)
		}
		packet, err := s.opener.Open(make([]byte, 2048), out[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		_, b, _ := wire.ParseHeader(packet)
		_, body, _, _ := wire.NextChunk(b)
		c, err := wire.ParseRHello(body)
		if err != nil || len(c.Tag) != n {
			t.Fatalf("tag of %d bytes came back with %d: %v", n, len(c.Tag), err)
		}
	}
}

// What cannot be a session leaves nothing behind.
func TestStrangersLeaveNothing(t *testing.T) {
	s := newStranger(t, nobody{})
	cert := clientIdentity(t).Certificate().Raw()
	for _, c := range []struct {
		name   string
		data   []byte
		reason rtmfp.DropReason
	}{
		{"empty", nil, rtmfp.DropTruncated},
		{"eleven bytes", make([]byte, 11), rtmfp.DropTruncated},
		{"oversize", make([]byte, rtmfp.MaxReceive+1), rtmfp.DropOversize},
		{"no such session", []byte("a packet for a session that nobody has ever opened"), rtmfp.DropUnknownSession},
		{"RHello without IHello", s.packet(wire.RHello{Tag: make([]byte, 16), Cookie: make([]byte, 64), Certificate: cert}), rtmfp.DropTag},
		{"Redirect without IHello", s.packet(wire.Redirect{Tag: make([]byte, 16)}), rtmfp.DropTag},
		{"forged cookie", s.packet(wire.IIKeying{SessionID: wire.SessionID{3}, Cookie: make([]byte, 64), Certificate: cert, Component: make([]byte, 76)}), rtmfp.DropCookie},
		{"session ID 0", s.packet(wire.IIKeying{Cookie: make([]byte, 64), Certificate: cert, Component: make([]byte, 76)}), rtmfp.DropMalformed},
		{"malformed EPD", s.packet(wire.IHello{EPD: []byte{9}, Tag: make([]byte, 16)}), rtmfp.DropMalformed},
		{"RIKeying", s.packet(wire.RIKeying{SessionID: wire.SessionID{3}}), rtmfp.DropMalformed},
		{"no chunk", s.packet(), rtmfp.DropMalformed},
		{"fragment of nothing", s.packet(wire.PacketFragment{PacketID: 1, Fragment: 1, Data: make([]byte, 100)}), rtmfp.DropFragment},
		{"first fragment without a cookie", s.packet(wire.PacketFragment{More: true, PacketID: 1, Data: make([]byte, 100)}), rtmfp.DropFragment},
	} {
		before := s.engine.Stats().Drops[c.reason]
		if out := s.send(c.data); len(out) != 0 {
			t.Errorf("%s: answered", c.name)
		}
		if got := s.engine.Stats().Drops[c.reason]; got != before+1 {
			t.Errorf("%s: not counted as %v: %v", c.name, c.reason, s.engine.Stats().Drops)
		}
	}
	if st := s.engine.Stats(); st.Sessions != 0 || !s.engine.Deadline().IsZero() {
		t.Errorf("%d sessions, deadline %v", st.Sessions, s.engine.Deadline())
	}
}

// Sessions that nobody uses go. A prefix may ask for many while nobody else wants to;
// TestKeyingsAreRationed has what binds then.
func TestUnusedSessionsGo(t *testing.T) {
	s := newStranger(t, nobody{})
	id := clientIdentity(t)
	open := func() bool {
		out := s.send(s.packet(hello("rtmfp://host.example/app", 16)))
		packet, err := s.opener.Open(make([]byte, 2048), out[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		_, b, _ := wire.ParseHeader(packet)
		_, body, _, _ := wire.NextChunk(b)
		c, err := wire.ParseRHello(body)
		if err != nil {
			t.Fatal(err)
		}
		k, err := id.BeginKeying(s.engine.Identity().Certificate(), flash.Policy{}, flash.NewKeyPool(0))
		if err != nil {
			t.Fatal(err)
		}
		return len(s.send(s.packet(wire.IIKeying{
			SessionID: wire.SessionID{3}, Cookie: c.Cookie, Certificate: id.Certificate().Raw(), Component: k.Component(), Signature: []byte("X"),
		}))) == 1
	}
	opened := 0
	for i := range 300 {
		s.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), uint16(5000+i))
		if open() {
			opened++
		}
	}
	if opened != 300 || s.engine.Stats().Unproven != 300 {
		t.Errorf("%d sessions at once, %+v", opened, s.engine.Stats())
	}
	for range 100 {
		s.now = s.now.Add(time.Second)
		s.engine.Advance(s.now)
		s.engine.Flush(func([]rtmfp.Datagram) {})
	}
	if st := s.engine.Stats(); st.Sessions != 0 {
		t.Errorf("%d unused sessions left", st.Sessions)
	}
}

func TestIntroductionsAreRationed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(21, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		bob := newParty(t, n, bobAddr, clientIdentity(t), func(c *rtmfp.Config) { c.Introductions = rtmfp.AnswerIntroductions })
		bob.say(bob.open(uri(server.addr)), "b")
		settle(time.Second)
		victim := netip.MustParseAddrPort("192.0.2.99:53")
		hits := 0
		n.Watch(func(_, to netip.AddrPort, _ []byte) {
			if to == victim {
				hits++
			}
		})
		server.do(func(*rtmfp.Engine) {
			for range 1000 {
				server.session(0).ForwardHello(bob.id.Certificate().EPD().Append(nil), wire.Address{AddrPort: victim}, []byte("tag"))
			}
		})
		settle(100 * time.Millisecond)
		if hits == 0 || hits > 110 {
			t.Errorf("%d RHellos to one address", hits)
		}
	})
}

// FuzzEngine feeds whatever arrives to an engine that is opening a session, and
// to the session once it is open.
func FuzzEngine(f *testing.F) {
	for _, d := range vectors.Load(f, "s03_p2p_intro").Datagrams {
		f.Add([]byte(d.Plaintext[d.PacketOff:d.Packet.PaddingOff]))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		now := time.Unix(1_700_000_000, 0)
		ends := [2]*rtmfp.Engine{}
		for i, id := range []*flash.Identity{fuzzServer, fuzzClient} {
			e, err := rtmfp.NewEngine(rtmfp.Config{Identity: id, Handler: acceptAll{}, KeyPool: -1, SequentialIDs: true, Introductions: rtmfp.AnswerIntroductions}, now)
			if err != nil {
				t.Fatal(err)
			}
			ends[i] = e
		}
		server, client := ends[0], ends[1]
		s, err := client.Open(rtmfp.Target{EPD: fuzzServer.Certificate().EPD(), Addrs: []netip.AddrPort{nearAddr}}, acceptAll{})
		if err != nil {
			t.Fatal(err)
		}
		sealer, _ := flash.NewStartup()
		startup := sealer.Finish(append(sealer.Begin(nil), packet...), wire.SessionID{})
		exchange := func() {
			for range 8 {
				client.Flush(func(out []rtmfp.Datagram) {
					for _, d := range out {
						server.Receive(now, rtmfp.Datagram{Local: nearAddr, Peer: farAddr, Data: d.Data})
					}
				})
				server.Flush(func(out []rtmfp.Datagram) {
					for _, d := range out {
						client.Receive(now, rtmfp.Datagram{Local: farAddr, Peer: nearAddr, Data: d.Data})
					}
				})
				for _, e := range ends {
					for _, j := range e.TakeJobs() {
						j.Run()
						e.Finish(now, j)
					}
				}
			}
		}
		for _, e := range ends {
			e.Receive(now, rtmfp.Datagram{Local: nearAddr, Peer: farAddr, Data: startup})
			e.Receive(now, rtmfp.Datagram{Local: nearAddr, Peer: farAddr, Data: packet})
		}
		exchange()
		s.Inject(func(b []byte) []byte { return append(b, packet...) })
		exchange()
		for range 200 {
			now = now.Add(time.Second)
			for _, e := range ends {
				e.Advance(now)
			}
			exchange()
		}
	})
}

var fuzzServer, fuzzClient = mustIdentity(flash.IdentityOptions{AcceptAncillary: true}), mustIdentity(flash.IdentityOptions{})

func mustIdentity(o flash.IdentityOptions) *flash.Identity {
	id, err := flash.NewIdentity(o)
	if err != nil {
		panic(err)
	}
	return id
}

type acceptAll struct{}

func (acceptAll) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (acceptAll) Accept(*rtmfp.Session) rtmfp.SessionHandler { return acceptAll{} }
func (acceptAll) Opened(*rtmfp.Session)                      {}
func (acceptAll) Moved(*rtmfp.Session)                       {}
func (acceptAll) Closed(*rtmfp.Session, error)               {}
func (acceptAll) Message(*flow.RecvFlow, []byte)             {}
func (acceptAll) Ended(*flow.RecvFlow, error)                {}
func (acceptAll) Incoming(*rtmfp.Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{Receiver: acceptAll{}}, nil
}

// A repeated IIKeying gets the identical RIKeying (NOTES 26) until the session
// has been used, then nothing; a changed one is another keying, not a repeat.
func TestRepeatedIIKeying(t *testing.T) {
	s := newStranger(t, nobody{})
	chunk := func(out []rtmfp.Datagram) []byte {
		t.Helper()
		if len(out) != 1 {
			t.Fatalf("%d answers", len(out))
		}
		packet, err := s.opener.Open(make([]byte, 2048), out[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		_, b, err := wire.ParseHeader(packet)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _, _ := wire.NextChunk(b)
		return bytes.Clone(body)
	}
	answer, err := wire.ParseRHello(chunk(s.send(s.packet(hello("rtmfp://host.example/app", 16)))))
	if err != nil {
		t.Fatal(err)
	}
	id := clientIdentity(t)
	k, err := id.BeginKeying(s.engine.Identity().Certificate(), flash.Policy{}, flash.NewKeyPool(0))
	if err != nil {
		t.Fatal(err)
	}
	keying := wire.IIKeying{
		SessionID: wire.SessionID{3}, Cookie: answer.Cookie, Certificate: id.Certificate().Raw(), Component: k.Component(), Signature: []byte("X"),
	}
	in := s.packet(keying)
	first := chunk(s.send(in))
	s.now = s.now.Add(time.Second)
	if again := chunk(s.send(in)); !bytes.Equal(again, first) {
		t.Errorf("RIKeying %x, then %x", first, again)
	}
	if st := s.engine.Stats(); st.Accepted != 1 || st.Sessions != 1 {
		t.Errorf("accepted %d, %d sessions", st.Accepted, st.Sessions)
	}
	c, err := wire.ParseRIKeying(first)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := k.Finish(c.Component)
	if err != nil {
		t.Fatal(err)
	}
	b := wire.Header{Mode: wire.ModeInitiator}.Append(keys.Sealer.Begin(nil))
	s.send(keys.Sealer.Finish(wire.Ping{}.Append(b), c.SessionID))
	if out := s.send(in); len(out) != 0 {
		t.Errorf("%d answers to a repeat after use", len(out))
	}
	if st := s.engine.Stats(); st.Accepted != 1 || st.Drops[rtmfp.DropReplay] != 1 {
		t.Errorf("accepted %d, drops %v", st.Accepted, st.Drops)
	}
}
