package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"pileus/configs"
	"pileus/relay/limit"
	"pileus/relay/splice"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// Session IDs at the two ends of a splice; of real clients they are the same
// everywhere, too.
var endSessions = [2]wire.SessionID{{3, 0, 0, 0}, {4, 0, 0, 0}}

// relayedPair is the two ends of a splice, on sockets of their own.
type relayedPair struct {
	t       *testing.T
	request splice.Request
	conns   [2]*net.UDPConn // initiator, target
	at      [2]netip.AddrPort
	sent    uint64
	startup [][]byte // which the relay may repeat
}

func newRelayedPair(t *testing.T, local netip.AddrPort, tag string) *relayedPair {
	t.Helper()
	p := &relayedPair{t: t, request: splice.Request{Tag: []byte(tag)}}
	for i, party := range []*splice.Party{&p.request.Initiator, &p.request.Target} {
		var err error
		if p.conns[i], err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.conns[i].Close() })
		party.Addr, party.Local = netip.MustParseAddrPort(p.conns[i].LocalAddr().String()), local
	}
	return p
}

// meets opens the splice and takes the two through a startup.
func (p *relayedPair) meets(relay *splice.Relay) {
	p.t.Helper()
	var certificates [2]flash.Certificate
	for i, party := range []*splice.Party{&p.request.Initiator, &p.request.Target} {
		id, err := flash.NewIdentity(flash.IdentityOptions{})
		if err != nil {
			p.t.Fatal(err)
		}
		certificates[i] = id.Certificate()
		party.Peer = certificates[i].PeerID()
	}
	p.request.EPD = certificates[1].EPD().Append(nil)
	g, err := relay.Open(p.request)
	if err != nil {
		p.t.Fatal(err)
	}
	p.at = [2]netip.AddrPort{g.Initiator, g.Target}

	sealer, _ := flash.NewStartup()
	packet := func(id wire.SessionID, chunk interface{ Append([]byte) []byte }) []byte {
		b := wire.Header{Mode: wire.ModeStartup}.Append(sealer.Begin(nil))
		return bytes.Clone(sealer.Finish(chunk.Append(b), id))
	}
	tag, key := p.request.Tag, []byte{1}
	cookie := append([]byte("cookie of "), tag...)
	p.send(0, packet(wire.SessionID{}, wire.IHello{EPD: p.request.EPD, Tag: tag}))
	for _, step := range []struct {
		from   int
		packet []byte
	}{
		{1, packet(wire.SessionID{}, wire.RHello{Tag: tag, Cookie: cookie, Certificate: certificates[1].Raw()})},
		{0, packet(wire.SessionID{}, wire.IIKeying{SessionID: endSessions[0], Cookie: cookie, Certificate: certificates[0].Raw(), Component: key, Signature: []byte("X")})},
		{1, packet(endSessions[0], wire.RIKeying{SessionID: endSessions[1], Component: key, Signature: []byte("X")})},
	} {
		p.startup = append(p.startup, step.packet)
		p.send(step.from, step.packet)
		p.receive(1-step.from, step.packet)
	}
}

func (p *relayedPair) send(from int, packet []byte) {
	p.t.Helper()
	if _, err := p.conns[from].WriteToUDPAddrPort(packet, p.at[from]); err != nil {
		p.t.Fatal(err)
	}
}

func (p *relayedPair) receive(to int, want []byte) {
	p.t.Helper()
	b := make([]byte, 2048)
	for {
		_ = p.conns[to].SetReadDeadline(time.Now().Add(5 * time.Second)) // of an open socket
		n, from, err := p.conns[to].ReadFromUDPAddrPort(b)
		if err != nil {
			p.t.Fatalf("a packet of %q is lost: %v", p.request.Tag, err)
		}
		repeated := func(packet []byte) bool { return bytes.Equal(packet, b[:n]) }
		if id, _ := wire.Unscramble(b[:n]); !repeated(want) && (id == (wire.SessionID{}) || slices.ContainsFunc(p.startup, repeated)) {
			continue
		}
		if from != p.at[to] || !bytes.Equal(b[:n], want) {
			p.t.Fatalf("%q got %x from %v, want %x from %v", p.request.Tag, b[:n], from, want, p.at[to])
		}
		return
	}
}

// talk sends a burst each way and wants all of it, in order.
func (p *relayedPair) talk() {
	p.t.Helper()
	const burst = 4
	var packets [2][burst][]byte
	for from := range 2 {
		for i := range burst {
			b := bytes.Repeat([]byte{0xa5}, 400)
			binary.BigEndian.PutUint64(b[8:], p.sent)
			p.sent++
			endSessions[1-from].Scramble(b)
			packets[from][i] = b
			p.send(from, b)
		}
	}
	for from := range 2 {
		for _, want := range packets[from] {
			p.receive(1-from, want)
		}
	}
}

// A reload and a drain leave those who are here alone: no session ends, no packet
// of a relayed pair is lost before the deadline. Nobody new is taken meanwhile.
func TestReloadAndDrainUnderLoad(t *testing.T) {
	const clients, pairs = 24, 50
	cfg := configs.Default()
	if err := cfg.Listen[0].UnmarshalText([]byte("127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	first := uint16(21000 + os.Getpid()%60*160) // who tests beside us has others
	cfg.Relay.Ports = configs.PortRange{First: first, Last: first + 159}
	cfg.Relay.Extra, cfg.STUN.Ports, cfg.TURN.Listen, cfg.Probe.Ports = nil, nil, nil, configs.PortRange{}
	cfg.Admin.Listen = configs.AdminListen{}
	cfg.Limits.HandshakesPerPrefix = 0
	n, err := build(cfg, discardLogger())
	if err != nil {
		t.Fatal(err)
	}
	polite, end := context.WithCancel(t.Context())
	defer end()
	changed := *cfg
	changed.Limits.Node, changed.Limits.PendingIntroductions = 1e9, 5
	n.operator.reread = func() (*configs.Config, error) { return &changed, nil }
	n.operator.drain.end = end
	if err := n.open(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.serve(polite, context.WithoutCancel(t.Context())) }()

	main := n.sockets.at(forMain)[0]
	everybody := make([]*connection, clients)
	for i := range everybody {
		if everybody[i] = connects(t, "rtmfp://"+main.String()+"/app"); !everybody[i].connected() {
			t.Fatal(everybody[i].why())
		}
	}
	relayed := make([]*relayedPair, pairs)
	for i := range relayed {
		relayed[i] = newRelayedPair(t, main, "pair "+string(rune('0'+i)))
		relayed[i].meets(n.relay.Relay)
	}
	// during does something while all pairs talk, and wants them to talk after it.
	during := func(f func(ctx context.Context) error) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- f(t.Context()) }()
		for over := false; ; {
			for _, p := range relayed {
				p.talk()
			}
			if over {
				break
			}
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				over = true
			default:
			}
		}
		for _, c := range everybody {
			if !c.connected() {
				t.Fatalf("a client lost its session: %s", c.why())
			}
		}
	}
	during(func(ctx context.Context) error {
		done, err := n.operator.Reload(ctx)
		if len(done.Changed) != 2 {
			t.Errorf("reloaded %+v", done)
		}
		return err
	})
	during(func(ctx context.Context) error { return n.operator.Drain(ctx, time.Hour) })

	late := newRelayedPair(t, main, "late")
	late.request.Initiator.Peer[0], late.request.Target.Peer[0] = 1, 2
	if _, err := n.relay.Open(late.request); !errors.Is(err, limit.ErrDraining) {
		t.Errorf("a new pair while draining: %v", err)
	}
	if _, b := n.relay.Stats(); b.Refused[splice.RefusedDrain] != 1 {
		t.Errorf("the refusal is not counted: %v", b.Refused)
	}
	if g, err := n.relay.Open(relayed[0].request); err != nil || g.Initiator != relayed[0].at[0] {
		t.Errorf("a pair that stands asks again: %+v, %v", g, err)
	}
	if connects(t, "rtmfp://"+main.String()+"/app").connected() {
		t.Error("a new client was taken")
	}

	// Those who were relayed without a session are waited for as well.
	deadline := time.Now().Add(2 * drainLook)
	for _, c := range everybody {
		c.close()
	}
	everybody = nil
	during(func(ctx context.Context) error { return n.operator.Drain(ctx, time.Until(deadline)) })
	for time.Until(deadline) > drainLook/2 {
		for _, p := range relayed {
			p.talk()
		}
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
		if time.Now().Before(deadline) {
			t.Error("ended before the deadline, with pairs relayed")
		}
	case <-time.After(10 * time.Second):
		t.Error("the node outlives its deadline")
	}
}
