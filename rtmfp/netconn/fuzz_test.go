package netconn_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/netconn"
)

// bench is engines without a driver or a clock: what one sends another receives
// at once. The first has the certificate of a server.
type bench struct {
	now     time.Time
	engines []*rtmfp.Engine
	addrs   []netip.AddrPort
}

// identities are made once: a fuzzed function runs often.
var identities [3]*flash.Identity

func newBench(t *testing.T, handlers ...rtmfp.Handler) *bench {
	t.Helper()
	p := &bench{now: time.Unix(1000, 0)}
	for i, h := range handlers {
		var err error
		if identities[i] == nil {
			o := flash.IdentityOptions{Static: []flash.Group{flash.Group2}, AcceptAncillary: i == 0}
			if identities[i], err = flash.NewIdentity(o); err != nil {
				t.Fatal(err)
			}
		}
		e, err := rtmfp.NewEngine(rtmfp.Config{Identity: identities[i], Handler: h, KeyPool: -1}, p.now)
		if err != nil {
			t.Fatal(err)
		}
		p.engines = append(p.engines, e)
		p.addrs = append(p.addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 1935))
	}
	return p
}

// pump exchanges datagrams until there are none.
func (p *bench) pump() {
	for busy := true; busy; {
		busy = false
		for i, e := range p.engines {
			for _, j := range e.TakeJobs() {
				j.Run()
				e.Finish(p.now, j)
				busy = true
			}
			e.Flush(func(out []rtmfp.Datagram) {
				busy = true
				for _, d := range out {
					if to := slices.Index(p.addrs, d.Peer); to >= 0 && to != i {
						p.engines[to].Receive(p.now, rtmfp.Datagram{Local: d.Peer, Peer: p.addrs[i], TOS: d.TOS, Data: d.Data})
					}
				}
			})
		}
	}
}

// pass lets time pass.
func (p *bench) pass(d time.Duration) {
	for end := p.now.Add(d); p.now.Before(end); {
		p.now = p.now.Add(100 * time.Millisecond)
		for _, e := range p.engines {
			e.Advance(p.now)
		}
		p.pump()
	}
}

// silent is everything a handler can be, and does nothing.
type silent struct {
	conn    *netconn.Conn
	client  *netconn.Client
	session *rtmfp.Session
	in      []*flow.RecvFlow
}

func (*silent) Hello(*rtmfp.Engine, rtmfp.Hello)             {}
func (s *silent) Accept(*rtmfp.Session) rtmfp.SessionHandler { return s }
func (s *silent) Opened(r *rtmfp.Session)                    { s.session = r }
func (*silent) Moved(*rtmfp.Session)                         {}
func (*silent) Closed(*rtmfp.Session, error)                 {}
func (s *silent) Incoming(_ *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	s.in = append(s.in, f)
	return flow.Accept{Receiver: s}, nil
}
func (*silent) Message(*flow.RecvFlow, []byte) {}
func (*silent) Ended(*flow.RecvFlow, error)    {}

// serving accepts every connection.
type serving struct{ conn *netconn.Conn }

func (s *serving) Connect(netconn.Request)    { _ = s.conn.Accept() }
func (*serving) SetPeerInfo([]netip.AddrPort) {}
func (*serving) Command(netconn.Command) bool { return false }
func (*serving) Moved()                       {}
func (*serving) Closed(error)                 {}

type listening struct {
	silent
	server *netconn.Server
}

func (l *listening) Accept(s *rtmfp.Session) rtmfp.SessionHandler { return l.server.Accept(s) }

// dialing is a client's handler that plays and lets play.
type dialing struct {
	silent
	pub *netconn.Publication
}

func (d *dialing) Accept(s *rtmfp.Session) rtmfp.SessionHandler { return d.client.Accept(s) }
func (*dialing) Connected(amf.Object)                           {}
func (*dialing) Status(amf.Object)                              {}
func (*dialing) Command(netconn.Command) bool                   { return false }
func (*dialing) OnPeerConnect(*netconn.Peer) bool               { return true }
func (d *dialing) OnPlay(r *netconn.PlayRequest)                { r.Accept(d.pub) }
func (*dialing) Closed(error)                                   {}
func (*dialing) Subscribed(*netconn.Peer)                       {}
func (*dialing) Unsubscribed(*netconn.Peer, error)              {}
func (*dialing) Writable()                                      {}

// ignoring is the handler of a subscription.
type ignoring struct{}

func (ignoring) Status(string, amf.Object) {}
func (ignoring) Message(netconn.Message)   {}
func (ignoring) Closed(error)              {}

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
	f.Fuzz(func(t *testing.T, b []byte) {
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
		if _, err := p.engines[2].Open(rtmfp.Target{EPD: identities[1].Certificate().EPD(), Addrs: p.addrs[1:2]}, peer); err != nil {
			t.Fatal(err)
		}
		p.pump()
		if peer.session == nil {
			t.Fatal("no session")
		}
		g, err := peer.session.OpenFlow(stream(1), flow.SendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		// The session is proven, and so known to the client, by its first packet.
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
	})
}
