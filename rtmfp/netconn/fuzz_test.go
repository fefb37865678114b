package netconn_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/netconn"
)

// script is what a fuzzed end does: each step is a kind, a length and so many
// bytes.
func script(b []byte, step func(kind byte, body []byte)) {
	for steps := 0; len(b) >= 2 && steps < 32; steps++ {
		kind, n := b[0], min(int(b[1]), len(b)-2)
		step(kind, b[2:2+n])
		b = b[2+n:]
	}
}

func seeds(f *testing.F) {
	n := 0
	for _, c := range vectors.Primitives(f).Commands {
		if len(c.TCMessage) < 256 {
			f.Add(append([]byte{0, byte(len(c.TCMessage))}, c.TCMessage...))
			n++
		}
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Add(append([]byte{1, 4, 'T', 'C', 4, 1, 0, 15}, netconn.AppendFlowSync(nil, 1, 2)...))
	f.Add([]byte{2, 4, 'T', 'C', 4, 1, 3, 0})
	for seed := range uint64(100) {
		f.Add(randomScript(rand.New(rand.NewPCG(seed, 1))))
	}
}

// randomScript is a script of well-formed steps in a senseless order.
func randomScript(r *rand.Rand) (b []byte) {
	metadata := [][]byte{control(), stream(1), stream(2)}
	messages := [][]byte{
		command("play", 0, amf.Null{}, amf.String("cam")),
		command("publish", 0, amf.Null{}, amf.String("cam")),
		command("closeStream", 0, amf.Null{}),
		command("close", 0, amf.Null{}),
		command("createStream", 2, amf.Null{}),
		command("setPeerInfo", 0, amf.Null{}),
		command("onStatus", 0, amf.Null{}, amf.Object{{Name: "level", Value: amf.String("error")}}),
		netconn.AppendStreamBegin(nil, 1),
		netconn.AppendSetKeepalive(nil, 0, 0),
		netconn.AppendFlowSync(nil, uint32(r.IntN(3)), uint32(r.IntN(4))),
		{byte(netconn.TypeAudio), 0, 0, 0, 0, 1},
		{byte(netconn.TypeVideo), 0, 0, 0, 0, 1},
	}
	for range r.IntN(30) {
		kind, body := byte(r.IntN(8)), messages[r.IntN(len(messages))]
		if kind == 1 || kind == 2 {
			body = metadata[r.IntN(len(metadata))]
		}
		b = append(append(b, kind, byte(len(body))), body...)
	}
	return b
}

// perform runs a script on the session of s: messages on the latest flow, new
// flows alone or in answer to the first that came, and ends.
func perform(p *bench, s *silent, first *flow.SendFlow, b []byte) {
	f := first
	script(b, func(kind byte, body []byte) {
		var o flow.SendOptions
		switch kind & 7 {
		case 2:
			if len(s.in) > 0 {
				o.ReturnOf = s.in[0]
			}
			fallthrough
		case 1:
			if g, err := s.session.OpenFlow(body, o); err == nil {
				f = g
			}
		case 3:
			f.Close()
		case 4:
			for _, in := range s.in {
				in.Reject(0)
			}
		case 5:
			p.pump()
		default:
			_ = f.Write(body, flow.WriteOptions{})
		}
	})
	p.pump()
	p.pass(time.Second)
}

// Whatever a client does, the server stays whole.
func FuzzServer(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l, s := &listening{}, &silent{}
		l.server = netconn.NewServer(netconn.ServerConfig{}, func(c *netconn.Conn) netconn.ServerHandler { return &serving{c} })
		p := newBench(t, l, s)
		if _, err := p.engines[1].Open(rtmfp.Target{
			EPD: flash.EPD{Ancillary: []byte(nodeURI), HasAncillary: true}, Addrs: p.addrs[:1],
		}, s); err != nil {
			t.Fatal(err)
		}
		p.pump()
		if s.session == nil {
			t.Fatal("no session")
		}
		g, err := s.session.OpenFlow(control(), flow.SendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Write(command("connect", 1, amf.Object{}), flow.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		p.pump()
		perform(p, s, g, b)
		s.session.Close()
		p.pump()
		l.server.Advance(p.now.Add(time.Hour))
	})
}

// Whatever a server does, the client stays whole.
func FuzzClient(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, d := &silent{}, &dialing{}
		p := newBench(t, s, d)
		dial(t, p, d)
		if s.session == nil || len(s.in) == 0 {
			t.Fatal("no connect")
		}
		g := answer(t, s)
		perform(p, s, g, b)
		d.client.Close()
		p.pass(time.Second)
		d.client.Abort()
		p.pump()
	})
}

func dial(t *testing.T, p *bench, d *dialing) {
	t.Helper()
	var err error
	if d.client, err = netconn.Dial(p.engines[1], netconn.ClientConfig{URI: nodeURI, Addrs: p.addrs[:1]}, d); err != nil {
		t.Fatal(err)
	}
	p.pump()
}

// answer accepts the connect that came to s.
func answer(t *testing.T, s *silent) *flow.SendFlow {
	t.Helper()
	g, err := s.session.OpenFlow(control(), flow.SendOptions{ReturnOf: s.in[0]})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Write(command("_result", 1, amf.Null{}, amf.Object{}), flow.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return g
}

// Whatever a peer does that plays and is played, the client stays whole.
func FuzzPeer(f *testing.F) {
	seeds(f)
	f.Add(append([]byte{1, 4, 'T', 'C', 4, 1, 0, 28}, command("play", 0, amf.Null{}, amf.String("cam"))...))
	f.Add(append([]byte{2, 4, 'T', 'C', 4, 1, 0, 11}, netconn.AppendStreamBegin(nil, 1)...))
	f.Fuzz(peerRun)
}

// peerRun is one run of FuzzPeer.
func peerRun(t *testing.T, b []byte) {
	s, d, peer := &silent{}, &dialing{}, &silent{}
	p := newBench(t, s, d, peer)
	dial(t, p, d)
	answer(t, s)
	p.pump()
	if !d.client.Connected() {
		t.Fatal("not connected")
	}
	var err error
	if d.pub, err = d.client.Publish("cam", netconn.PublishOptions{}, d); err != nil {
		t.Fatal(err)
	}
	open(t, p, peer)
	g, err := peer.session.OpenFlow(stream(1), flow.SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Write(command("play", 0, amf.Null{}, amf.String("cam")), flow.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.pump()
	if d.pub.Subscribers() != 1 {
		t.Fatal("not playing")
	}
	peer.in = nil // what follows answers the flow of a subscription
	if _, err := d.client.Play(identities[2].PeerID(), "cam", ignoring{}); err != nil {
		t.Fatal(err)
	}
	p.pump()
	_ = d.pub.Write(netconn.Message{Type: netconn.TypeAudio})
	perform(p, peer, g, b)
	_ = d.pub.Write(netconn.Message{Type: netconn.TypeVideo})
	d.client.Close()
	p.pass(time.Second)
	d.client.Abort()
	p.pump()
	if n := len(d.client.Peers()); n != 0 {
		t.Errorf("%d peers left", n)
	}
}
