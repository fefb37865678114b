package rtmfp

import (
	"net/netip"
	"testing"
	"time"

	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/share"
	"pileus/rtmfp/wire"
)

// moody is an application whose mood changes with each call.
type moody struct {
	mood  byte
	flows []*flow.SendFlow
}

func (m *moody) Hello(e *Engine, h Hello) { e.Redirect(h.Local, h.From, h.Tag, nil) }
func (m *moody) Accept(*Session) SessionHandler {
	if m.mood++; m.mood%16 == 0 {
		return nil
	}
	return m
}

func (m *moody) Opened(s *Session) {
	if f, err := s.OpenFlow([]byte("opened"), flow.SendOptions{Events: flowEvents{m}}); err == nil {
		m.flows = append(m.flows, f)
		_ = f.Write(make([]byte, 5000), flow.WriteOptions{})
	}
}

func (m *moody) Moved(s *Session)       { s.SetIntroductions(AnswerIntroductions) }
func (m *moody) Closed(*Session, error) {}

func (m *moody) Incoming(s *Session, f *flow.RecvFlow) (flow.Accept, error) {
	switch m.mood++; m.mood % 6 {
	case 0:
		return flow.Accept{}, &flow.Exception{Code: 7}
	case 1:
		return flow.Accept{Receiver: m, AsReceived: true, Capacity: 3000}, nil
	case 2:
		f.SetHold(true)
	case 3:
		if g, err := s.OpenFlow(f.Metadata()[:min(len(f.Metadata()), flow.MaxMetadata)], flow.SendOptions{ReturnOf: f, Events: flowEvents{m}, Buffer: 4000}); err == nil {
			m.flows = append(m.flows, g)
		}
	}
	return flow.Accept{Receiver: m}, nil
}

func (m *moody) Message(f *flow.RecvFlow, msg []byte) {
	switch m.mood++; {
	case m.mood%16 == 0:
		f.Reject(1)
	case m.mood%16 == 1:
		f.SetHold(true)
	case len(m.flows) > 0:
		_ = m.flows[int(m.mood)%len(m.flows)].Write(msg, flow.WriteOptions{FinishBy: time.Duration(m.mood) * time.Second})
	}
}

func (m *moody) Ended(*flow.RecvFlow, error) {}

// flowEvents is a moody as told of sending flows, whose Closed takes other arguments.
type flowEvents struct{ *moody }

func (flowEvents) Writable(f *flow.SendFlow)            { _ = f.Write([]byte("more"), flow.WriteOptions{}) }
func (flowEvents) Exception(f *flow.SendFlow, _ uint64) { f.Close() }
func (flowEvents) Closed(*flow.SendFlow, error)         {}

// FuzzSealed has an engine receive whatever a far end may send that holds keys: any chunks
// in packets that verify, in both roles, from where it was and from elsewhere. Nothing
// panics, what is counted is what is held, and nothing is left in the end.
func FuzzSealed(f *testing.F) {
	seeds := 0
	for _, x := range vectors.Exchanges(f) {
		script := []byte{byte(seeds * 40)}
		for i := range x.Datagrams {
			d := &x.Datagrams[i]
			_, chunks, err := wire.ParseHeader(d.Plaintext[d.PacketOff:d.Packet.PaddingOff])
			if d.Dir == "" || err != nil || len(chunks) == 0 || len(script) > 4000 {
				continue
			}
			role := byte(0)
			if d.Dir == "r2i" {
				role = 1
			}
			script = appendStep(script, role, chunks)
		}
		if len(script) > 1 {
			f.Add(script)
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, script []byte) { runSealed(t, script) })
}

// A script is a byte that says how the application and the limits are, then steps: a byte
// that says what else happens, a length, and so many bytes of chunks.
func appendStep(script []byte, what byte, chunks []byte) []byte {
	for {
		n := min(len(chunks), 4*255)
		n -= n % 4
		if rest := len(chunks) - n; rest > 0 && n < 4*255 {
			chunks = append(chunks[:len(chunks):len(chunks)], make([]byte, 4-rest)...)
			continue
		}
		return append(append(script, what, byte(n/4)), chunks[:n]...)
	}
}

const (
	stepInitiator = 1 << iota // to the session in which the engine is initiator
	stepElsewhere             // from another address
	stepMarked                // Congestion Experienced
	stepCritical
	stepStartup // under the key that everybody knows
	stepTime    // and then time passes
	stepClose   // this end closes the session first
)

// runSealed plays a script and returns how many packets it had.
func runSealed(t testing.TB, script []byte) (packets int) {
	if len(script) == 0 {
		return 0
	}
	m := &moody{mood: script[0]}
	e := newTestEngine(t, func(c *Config) {
		c.Handler, c.HandshakeRate = m, -1
		c.Shared = SharedLimits{Memory: int64(script[0]) << 11, Share: 10, WideShare: 50} // 0: none
		c.Introductions = IntroductionMode(script[0] % 3)
	})
	script = script[1:]
	addr := netip.MustParseAddrPort("198.51.100.1:5000")
	elsewhere := netip.MustParseAddrPort("203.0.113.1:5000")
	far := [2]*sealed{openSealed(t, e, addr, someCertificate(t, 1)), openSealedAs(t, e, netip.MustParseAddrPort("198.51.100.2:5000"), someCertificate(t, 2), m)}
	send := func(out []Datagram) {
		for i := range out {
			if n := len(out[i].Data); n > MaxDatagram+64 {
				t.Fatalf("a datagram of %d bytes", n)
			}
		}
	}
	for len(script) >= 2 {
		what, n := script[0], min(4*int(script[1]), len(script)-2)
		chunks := script[2 : 2+n]
		script = script[2+n:]
		p := far[what&stepInitiator]
		d := Datagram{Local: sealedLocal, Peer: p.addr}
		if what&stepElsewhere != 0 {
			d.Peer = elsewhere
		}
		if what&stepMarked != 0 {
			d.TOS = 3
		}
		h := wire.Header{Mode: wire.ModeInitiator, TimeCritical: what&stepCritical != 0, HasTimestamp: true, Timestamp: uint16(n)}
		sealer, id := p.keys.Sealer, p.session.id
		switch {
		case what&stepStartup != 0:
			h.Mode, sealer, id = wire.ModeStartup, e.sealer, wire.SessionID{}
		case what&stepInitiator != 0:
			h.Mode = wire.ModeResponder
		}
		d.Data = sealer.Finish(append(h.Append(sealer.Begin(nil)), chunks...), id)
		if what&stepClose != 0 {
			p.session.Close()
		}
		e.Receive(e.now, d)
		packets++
		if what&stepTime != 0 {
			e.Advance(e.now.Add(time.Duration(what) * 10 * time.Millisecond))
		}
		e.Flush(send)
		checkAccounts(t, e)
	}
	e.CloseAll()
	far[0].send(wire.Ping{}.Append(nil))
	for range 4 {
		for _, j := range e.TakeJobs() {
			j.Run()
			e.Finish(e.now, j)
		}
		e.Flush(send)
		e.Advance(e.now.Add(100 * time.Second))
	}
	e.Flush(send)
	checkAccounts(t, e)
	if st := e.Stats(); st.Sessions != 0 || st.Memory != 0 || st.Prefixes != 0 || st.Unproven != 0 || st.Waiting != 0 || len(e.unproven.at) != 0 || len(e.byAddr) != 0 {
		t.Fatalf("left in the end: %+v, %d addresses, %d by address", st, len(e.unproven.at), len(e.byAddr))
	}
	return packets
}

// checkAccounts holds what is counted against what there is.
func checkAccounts(t testing.TB, e *Engine) {
	t.Helper()
	memory, sessions, home := int64(0), int64(0), map[*share.Place]int64{}
	for _, s := range e.sessions {
		memory += s.memory.Held()
		if s.home != nil {
			sessions++
			home[s.home] += s.memory.Held()
			home[s.home.Wide()] += s.memory.Held()
		}
		if s.memory.Held() < s.base {
			t.Fatalf("a session counts %d bytes, and %d without flows", s.memory.Held(), s.base)
		}
	}
	if len(e.keyings) > 0 {
		return // which count too
	}
	if e.shares.memory().Held() != memory || e.shares.sessions().Held() != sessions {
		t.Fatalf("%d bytes and %d sessions counted, there are %d and %d", e.shares.memory().Held(), e.shares.sessions().Held(), memory, sessions)
	}
	for p, n := range home {
		if p.Account(sharedMemory).Held() != n {
			t.Fatalf("a prefix counts %d bytes, has %d", p.Account(sharedMemory).Held(), n)
		}
	}
	if e.shares.ledger.Places() != len(home) {
		t.Fatalf("%d prefixes, want %d", e.shares.ledger.Places(), len(home))
	}
}

// BenchmarkSealed says how many packets a second the target does, without the fuzzer's
// own work.
func BenchmarkSealed(b *testing.B) {
	var scripts [][]byte
	for _, x := range vectors.Exchanges(b) {
		script := []byte{200}
		for i := range x.Datagrams {
			d := &x.Datagrams[i]
			if _, chunks, err := wire.ParseHeader(d.Plaintext[d.PacketOff:d.Packet.PaddingOff]); d.Dir != "" && err == nil && len(script) < 4000 {
				script = appendStep(script, 0, chunks)
			}
		}
		scripts = append(scripts, script)
	}
	packets := 0
	for i := 0; b.Loop(); i++ {
		packets += runSealed(b, scripts[i%len(scripts)])
	}
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
}
